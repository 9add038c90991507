"""Model configurations: the keys of config.json, unknown ones kept and written back."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Self

from ..errors import ConfigError
from ..hub import read_json, resolve
from ..weights.stream import write_json

CONFIG_NAME = "config.json"
_HUB_OPTIONS = ("revision", "token", "cache_dir", "local_files_only", "force_download", "subfolder")
_IGNORED_OPTIONS = ("trust_remote_code", "proxies", "resume_download", "use_auth_token", "_from_auto", "_commit_hash")


def split_hub_options(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Keyword arguments parted into those of hub.resolve and the rest (obsolete ones are dropped)."""
    hub = {key: options[key] for key in _HUB_OPTIONS if options.get(key) is not None}
    rest = {key: value for key, value in options.items() if key not in (*_HUB_OPTIONS, *_IGNORED_OPTIONS)}
    return hub, rest


@dataclass(kw_only=True, init=False, repr=False)
class PretrainedConfig:
    """Base of model configurations (guide: main_classes/configuration).

    A subclass is a dataclass whose fields are the architecture's config.json keys with their defaults. Keys that no
    field names become plain attributes and are written back.
    """

    model_type: ClassVar[str] = ""
    attribute_map: ClassVar[dict[str, str]] = {}
    sub_configs: ClassVar[dict[str, str]] = {}
    """Field name -> model_type of configurations nested in this one ("" where the nested one names it)."""

    architectures: list[str] | None = None
    torch_dtype: Any = None
    id2label: dict[int, str] = field(default_factory=lambda: {0: "LABEL_0", 1: "LABEL_1"})
    label2id: dict[str, int] = field(default_factory=lambda: {"LABEL_0": 0, "LABEL_1": 1})
    problem_type: str | None = None
    output_hidden_states: bool = False
    output_attentions: bool = False
    return_dict: bool = True
    use_cache: bool = True
    is_encoder_decoder: bool = False
    is_decoder: bool = False
    add_cross_attention: bool = False
    cross_attention_hidden_size: int | None = None
    tie_word_embeddings: bool = True
    chunk_size_feed_forward: int = 0
    pruned_heads: dict[int, list[int]] = field(default_factory=dict)
    tokenizer_class: str | None = None
    bos_token_id: int | None = None
    pad_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    sep_token_id: int | None = None
    decoder_start_token_id: int | None = None
    task_specific_params: dict[str, Any] | None = None
    finetuning_task: str | None = None

    def __init__(self, **values: Any) -> None:
        values = dict(values)
        values.pop("model_type", None)
        if "dtype" in values:
            values["torch_dtype"] = values.pop("dtype")
        num_labels = values.pop("num_labels", None)
        if values.get("id2label") and not values.get("label2id"):
            values["label2id"] = {label: int(number) for number, label in values["id2label"].items()}
        implementation = values.pop("attn_implementation", None)
        for entry in fields(self):
            given = values.pop(entry.name, MISSING)
            if given is MISSING:
                factory: Any = entry.default_factory
                given = entry.default if factory is MISSING else factory()
            if given is MISSING:
                raise ConfigError(f"{type(self).__name__} lacks {entry.name!r}.")
            object.__setattr__(self, entry.name, given)
        self._attn_implementation: str | None = implementation
        self._name_or_path = str(values.pop("_name_or_path", ""))
        for name, value in values.items():
            setattr(self, name, value)
        self._coerce(num_labels)
        self.__post_init__()

    def _coerce(self, num_labels: int | None) -> None:
        self.id2label = {int(key): value for key, value in (self.id2label or {}).items()}
        if num_labels is not None and num_labels != len(self.id2label):
            self.num_labels = num_labels
        if len(self.label2id or {}) != len(self.id2label):
            self.label2id = {label: number for number, label in self.id2label.items()}
        if self.torch_dtype is not None:
            self.torch_dtype = str(self.torch_dtype).removeprefix("torch.")

    def __post_init__(self) -> None:
        """Checks and derived values of a subclass."""

    def __getattr__(self, name: str) -> Any:
        alias = type(self).attribute_map.get(name)
        if alias is None:
            raise AttributeError(f"{type(self).__name__} has no key {name!r}.")
        return getattr(self, alias)

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, type(self).attribute_map.get(name, name), value)

    @property
    def num_labels(self) -> int:
        """Number of labels; setting it names them LABEL_0, LABEL_1, ..."""
        return len(self.id2label)

    @num_labels.setter
    def num_labels(self, count: int) -> None:
        self.id2label = {number: f"LABEL_{number}" for number in range(count)}
        self.label2id = {label: number for number, label in self.id2label.items()}

    @property
    def use_return_dict(self) -> bool:
        """Whether models return ModelOutput (else tuples)."""
        return self.return_dict

    @property
    def name_or_path(self) -> str:
        """Where the configuration was loaded from."""
        return self._name_or_path

    @property
    def dtype(self) -> Any:
        """The name of the weights' dtype, also known as torch_dtype."""
        return self.torch_dtype

    @dtype.setter
    def dtype(self, value: Any) -> None:
        self.torch_dtype = None if value is None else str(value).removeprefix("torch.")

    def get_text_config(self, decoder: bool = False) -> PretrainedConfig:
        """The configuration of the text part: this one, or the nested one of a composite model."""
        for name in ("text_config", "decoder", "generator", "text_encoder"):
            nested = self.__dict__.get(name)
            if isinstance(nested, PretrainedConfig):
                return nested
        return self

    @classmethod
    def get_config_dict(cls, reference: str | Path, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The content of config.json and the keyword arguments that were not for finding it."""
        hub, rest = split_hub_options(options)
        file = Path(reference)
        if not file.is_file():
            file = resolve(reference, weights=False, **hub) / CONFIG_NAME
        return {**read_json(file), "_name_or_path": str(reference)}, rest

    @classmethod
    def from_pretrained(cls, reference: str | Path, **options: Any) -> Any:
        """Read config.json from a folder, a file, a Hub id or an address; keywords override keys."""
        values, rest = cls.get_config_dict(reference, **options)
        return cls.from_dict(values, **rest)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], **overrides: Any) -> Any:
        """Build from plain values. With return_unused_kwargs=True, overrides that are no keys come back too."""
        return_unused = overrides.pop("return_unused_kwargs", False)
        config = cls(**values)
        unused = {}
        for name, value in overrides.items():
            if name == "num_labels" or hasattr(config, name) or name in {entry.name for entry in fields(cls)}:
                setattr(config, name, value)
            elif name in ("attn_implementation",):
                config._attn_implementation = value
            else:
                unused[name] = value
        config._coerce(None)
        return (config, unused) if return_unused else config

    @classmethod
    def from_json_file(cls, file: str | Path) -> Self:
        """Read a config.json."""
        return cls(**read_json(Path(file)))

    def to_dict(self) -> dict[str, Any]:
        """Every key with its value, as config.json holds them."""
        out: dict[str, Any] = {"model_type": type(self).model_type}
        declared = {entry.name for entry in fields(self)}
        for name, value in self.__dict__.items():
            if name.startswith("_") and name not in declared:
                continue
            out[name] = value.to_dict() if isinstance(value, PretrainedConfig) else copy.deepcopy(value)
        return out

    def to_diff_dict(self) -> dict[str, Any]:
        """The keys of the architecture, and of the common ones those that differ from their defaults."""
        common = PretrainedConfig()
        defaults = {entry.name: (entry.default, entry.default_factory) for entry in fields(PretrainedConfig)}
        own = {e.name for e in fields(self) if (e.default, e.default_factory) != defaults.get(e.name)}
        values = self.to_dict()
        return {
            name: value
            for name, value in values.items()
            if name == "model_type" or name in own or name not in common.__dict__ or value != getattr(common, name)
        }

    def to_json_string(self, use_diff: bool = True) -> str:
        """config.json as text."""
        values = self.to_diff_dict() if use_diff else self.to_dict()
        return json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    def to_json_file(self, file: str | Path, use_diff: bool = True) -> None:
        """Write config.json."""
        write_json(Path(file), json.loads(self.to_json_string(use_diff)))

    def save_pretrained(self, folder: str | Path, **_: Any) -> None:
        """Write config.json into a folder, which is made where it is missing."""
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        self.to_json_file(place / CONFIG_NAME)

    def update(self, values: Mapping[str, Any]) -> None:
        """Set several keys."""
        for name, value in values.items():
            setattr(self, name, value)

    def update_from_string(self, text: str) -> None:
        """Set keys from "n_embd=10,resid_pdrop=0.2"; each must exist and keeps its type."""
        for pair in text.split(","):
            name, equals, value = pair.partition("=")
            if not equals or not hasattr(self, name):
                raise ConfigError(f"{pair!r}: expected key=value with a key of {type(self).__name__}.")
            old = getattr(self, name)
            if isinstance(old, bool):
                if value.lower() not in ("true", "false", "1", "0", "y", "n", "yes", "no"):
                    raise ConfigError(f"{name} is {value!r}; expected true or false.")
                setattr(self, name, value.lower() in ("true", "1", "y", "yes"))
            elif isinstance(old, (int, float, str)):
                setattr(self, name, type(old)(value))
            else:
                raise ConfigError(
                    f"{name} holds a {type(old).__name__}; only numbers, text and truth values can be set so."
                )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PretrainedConfig) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string()}"
