"""GenerationConfig: every parameter of `generate`, read from and written to generation_config.json."""

from __future__ import annotations

import copy
import json
import os
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ..errors import ConfigError, NotFoundError
from ..hub import read_json, resolve
from ..models.config import PretrainedConfig, split_hub_options
from ..weights.stream import write_json
from .checks import check_config
from .modes import GenerationMode, choose_mode
from .parameters import DEFAULTS, EXTRA_OUTPUTS
from .watermark.config import BaseWatermarkingConfig, SynthIDTextWatermarkingConfig, WatermarkingConfig

GENERATION_CONFIG_NAME = "generation_config.json"


@dataclass(kw_only=True)
class CompileConfig:
    """Arguments of torch.compile for the decoding step (guide: internal/generation_utils)."""

    fullgraph: bool = False
    dynamic: bool | None = None
    backend: str | Any = "inductor"
    mode: str | None = "reduce-overhead"
    options: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """The arguments by name."""
        return asdict(self)


class GenerationConfig:
    """Parameters of `generate` (guide: main_classes/text_generation); parameters.py lists them with their defaults.

    Args:
        values: parameters; keys that are none are kept as attributes and written back.

    Raises:
        ConfigError: a value is impossible or two contradict each other.
    """

    def __init__(self, **values: Any) -> None:
        self._from_model_config = bool(values.pop("_from_model_config", False))
        self._commit_hash = values.pop("_commit_hash", None)
        self.transformers_version = values.pop("transformers_version", None)
        self.generation_kwargs = values.pop("generation_kwargs", {})
        for name, default in DEFAULTS.items():
            setattr(self, name, values.pop(name, copy.copy(default)))
        self._adopt_dictionaries()
        if not self._from_model_config:  # a model's configuration has many more keys
            for name, value in values.items():
                setattr(self, name, value)
        self.validate()

    if TYPE_CHECKING:  # parameters are attributes that DEFAULTS names

        def __setattr__(self, name: str, value: Any) -> None: ...

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"GenerationConfig has no parameter {name!r}.")

    def _adopt_dictionaries(self) -> None:
        own = self.__dict__
        if isinstance(own["watermarking_config"], dict):
            synthid = "ngram_len" in own["watermarking_config"]
            kind = SynthIDTextWatermarkingConfig if synthid else WatermarkingConfig
            own["watermarking_config"] = kind.from_dict(own["watermarking_config"])
        if isinstance(own["compile_config"], dict):
            own["compile_config"] = CompileConfig(**own["compile_config"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GenerationConfig) and self.to_json_string(
            ignore_metadata=True
        ) == other.to_json_string(ignore_metadata=True)

    def __hash__(self) -> int:
        return hash(self.to_json_string(ignore_metadata=True))

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string(ignore_metadata=True)}"

    # -- meaning ------------------------------------------------------------------------------------------------

    def get_generation_mode(self, assistant_model: Any = None) -> GenerationMode:
        """The way to generate that these parameters, with or without a draft model, ask for."""
        return choose_mode(self, assistant_model)

    def validate(self, strict: bool = False) -> None:
        """Check values and combinations.

        Args:
            strict: settings without effect raise too; else they are logged.

        Raises:
            ConfigError: naming the parameter, what was given and what is allowed.
        """
        check_config(self, strict)

    def update(self, **values: Any) -> dict[str, Any]:
        """Set parameters and return the keywords that are none."""
        used = {name: value for name, value in values.items() if hasattr(self, name)}
        for name, value in used.items():
            setattr(self, name, value)
        self._adopt_dictionaries()
        self.validate()
        return {name: value for name, value in values.items() if name not in used}

    # -- reading and writing ------------------------------------------------------------------------------------

    @classmethod
    def from_pretrained(
        cls, reference: str | os.PathLike[str], config_file_name: str | None = None, **options: Any
    ) -> Any:
        """Read generation_config.json from a folder, a Hub id or an address.

        Args:
            reference: where.
            config_file_name: another name of the file.
            options: revision, token, ... of the Hub; anything else overrides parameters. With
                return_unused_kwargs=True, (config, keywords that are no parameters) is returned.

        Raises:
            NotFoundError: there is no such file.
        """
        hub, overrides = split_hub_options(options)
        name = config_file_name or GENERATION_CONFIG_NAME
        file = Path(reference)
        if not file.is_file():
            file = resolve(os.fspath(reference), weights=False, **hub) / name
        if not file.is_file():
            raise NotFoundError(
                f"{reference!s} has no {name}. Use GenerationConfig.from_model_config(model.config), or save one first."
            )
        return cls.from_dict(read_json(file), **overrides)

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **options: Any) -> Any:
        """Build from plain values; keywords override them."""
        return_unused = options.pop("return_unused_kwargs", False)
        config = cls(**{**copy.deepcopy(config_dict), **{k: v for k, v in options.items() if k.startswith("_")}})
        unused = config.update(**{name: value for name, value in options.items() if not name.startswith("_")})
        return (config, unused) if return_unused else config

    @classmethod
    def from_model_config(cls, model_config: PretrainedConfig) -> Self:
        """The parameters that a config.json carries, as old checkpoints do."""
        values = {name: value for name, value in model_config.to_dict().items() if value is not None}
        for name in ("output_attentions", "output_hidden_states", *model_config.attribute_map):
            values.setdefault(name, getattr(model_config, name, None))
        values = {name: value for name, value in values.items() if name in DEFAULTS and value is not None}
        text = model_config.get_text_config(decoder=True)
        if text is not model_config:
            nested = text.to_dict()
            for name, default in DEFAULTS.items():
                if nested.get(name) is not None and values.get(name, default) == default:
                    values[name] = nested[name]
        if any(values.get(name) for name in EXTRA_OUTPUTS):
            values["return_dict_in_generate"] = True
        return cls(**values, _from_model_config=True)

    def to_dict(self) -> dict[str, Any]:
        """Every parameter with its value."""
        out = {name: copy.deepcopy(value) for name, value in self.__dict__.items() if not name.startswith("_")}
        for name, value in out.items():
            if isinstance(value, (BaseWatermarkingConfig, CompileConfig)):
                out[name] = value.to_dict()
        if self._from_model_config:
            out["_from_model_config"] = True
        return out

    def to_diff_dict(self) -> dict[str, Any]:
        """The parameters that differ from their defaults."""
        return {
            name: value
            for name, value in self.to_dict().items()
            if (value != DEFAULTS[name] if name in DEFAULTS else value not in (None, {}))
        }

    def to_json_string(self, use_diff: bool = True, ignore_metadata: bool = False) -> str:
        """generation_config.json as text.

        Args:
            use_diff: only what differs from the defaults.
            ignore_metadata: leave versions and origin out.
        """
        values = self.to_diff_dict() if use_diff else self.to_dict()
        if ignore_metadata:
            for name in ("transformers_version", "_from_model_config"):
                values.pop(name, None)
        return json.dumps(_plain(values), indent=2, sort_keys=True) + "\n"

    def to_json_file(self, json_file_path: str | os.PathLike[str], use_diff: bool = True) -> None:
        """Write a JSON file."""
        write_json(Path(json_file_path), json.loads(self.to_json_string(use_diff)))

    def save_pretrained(
        self, save_directory: str | os.PathLike[str], config_file_name: str | None = None, push_to_hub: bool = False,
        **options: Any,
    ) -> None:  # fmt: skip
        """Write generation_config.json into a folder, which is made where it is missing.

        Raises:
            ConfigError: the parameters contradict each other, or the path is a file.
        """
        self.validate(strict=True)
        folder = Path(save_directory)
        if folder.is_file():
            raise ConfigError(f"{folder} is a file; give the path of a folder to save into.")
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / (config_file_name or GENERATION_CONFIG_NAME)
        self.to_json_file(file)
        if push_to_hub:
            import huggingface_hub

            hub, _ = split_hub_options(options)
            api = huggingface_hub.HfApi(token=hub.get("token"))
            repository = api.create_repo(options.get("repo_id", folder.name), exist_ok=True)
            api.upload_file(path_or_fileobj=file, path_in_repo=file.name, repo_id=repository.repo_id)


def _plain(value: Any) -> Any:
    """What JSON can hold: keys that are tuples become pairs, torch dtypes their names."""
    if isinstance(value, dict):
        if any(isinstance(key, tuple) for key in value):
            return [[list(key), _plain(item)] for key, item in value.items()]
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if hasattr(value, "tolist"):
        return value.tolist()
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value).removeprefix("torch.")
