"""AutoTokenizer: the right tokenizer class for any checkpoint."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..errors import InputError, InputTypeError, NotFoundError, UnknownNameError, did_you_mean
from ..registry import Registry
from .tokenizer_base import PreTrainedTokenizerBase
from .tokenizer_catalog import MODEL_TYPES, PLACES, plain_name
from .tokenizer_files import CONFIG, FAST, read_object, tokenizer_folder

TOKENIZERS: Registry[type[PreTrainedTokenizerBase]] = Registry("tokenizer class")
"""Tokenizer classes by name, without "Fast"."""

TOKENIZERS.add("PreTrainedTokenizer", target=f"{__package__}.tokenizer:PreTrainedTokenizerFast")
for _module, _names in PLACES.items():
    for _name in _names:
        TOKENIZERS.add(_name, target=f"{__package__}.{_module}:{_name}")


class AutoTokenizer:
    """Loads the tokenizer of any checkpoint; cannot be instantiated itself."""

    def __init__(self) -> None:
        raise InputTypeError("AutoTokenizer is not instantiated: use AutoTokenizer.from_pretrained(folder or Hub id)")

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], *inputs: Any, **kwargs: Any
    ) -> PreTrainedTokenizerBase:
        """The tokenizer of a checkpoint: by its tokenizer_config.json, else its config.json, else its tokenizer.json.

        Args:
            pretrained_model_name_or_path: a local folder, a Hub id, or another address that `rayformers.hub` resolves.
            kwargs: the Hub's options (revision, token, cache_dir, subfolder, local_files_only); `tokenizer_type` (a
                model type) chooses the class; `use_fast` is accepted: there is one kind; the rest overrides what the
                files say (padding_side, model_max_length, add_prefix_space, do_lower_case, ...).

        Raises:
            NotFoundError: nothing there, or no tokenizer in it; the message names what was looked for.
        """
        given = kwargs.pop("tokenizer_type", None)
        kwargs.pop("config", None)
        if Path(os.fspath(pretrained_model_name_or_path)).is_file():
            from .tokenizer import PreTrainedTokenizerFast

            return PreTrainedTokenizerFast.from_pretrained(pretrained_model_name_or_path, *inputs, **kwargs)
        folder = tokenizer_folder(pretrained_model_name_or_path, kwargs)
        kind = _class_for_type(given) if given is not None else tokenizer_class(folder)
        return kind.from_folder(folder, os.fspath(pretrained_model_name_or_path), *inputs, **kwargs)

    @staticmethod
    def register(
        config_class: Any,
        slow_tokenizer_class: type[PreTrainedTokenizerBase] | None = None,
        fast_tokenizer_class: type[PreTrainedTokenizerBase] | None = None,
        exist_ok: bool = False,
    ) -> None:
        """Use a tokenizer class of one's own for the model type of `config_class`.

        Raises:
            InputError: no class was given, or the model type has one and `exist_ok` is False.
        """
        kind = fast_tokenizer_class or slow_tokenizer_class
        if kind is None:
            raise InputError("AutoTokenizer.register needs slow_tokenizer_class= or fast_tokenizer_class=")
        model_type = getattr(config_class, "model_type", config_class)
        if model_type in MODEL_TYPES and not exist_ok:
            raise InputError(f"The model type {model_type!r} has a tokenizer already; pass exist_ok=True to replace it")
        TOKENIZERS.add(plain_name(kind.__name__), kind, replace=True)
        MODEL_TYPES[model_type] = plain_name(kind.__name__).removesuffix("Tokenizer")


def _class_for_type(model_type: str) -> type[PreTrainedTokenizerBase]:
    if model_type not in MODEL_TYPES:
        raise UnknownNameError(
            f"No tokenizer for the model type {model_type!r}. {did_you_mean(model_type, MODEL_TYPES)}"
        )
    name = MODEL_TYPES[model_type]
    return TOKENIZERS.get(name if name in TOKENIZERS else f"{name}Tokenizer")


def tokenizer_class(folder: Path) -> type[PreTrainedTokenizerBase]:
    """The tokenizer class for the files in `folder`.

    Raises:
        NotFoundError: they hold no tokenizer.
    """
    config = read_object(folder / "config.json")
    named = read_object(folder / CONFIG).get("tokenizer_class") or config.get("tokenizer_class")
    if named is not None and plain_name(named) in TOKENIZERS:
        return TOKENIZERS.get(plain_name(named))
    model_type = config.get("model_type")
    has_fast = (folder / FAST).is_file()
    if named is None and model_type in MODEL_TYPES:
        kind = _class_for_type(model_type)
        if has_fast or any((folder / name).is_file() for name in kind.vocab_files_names.values()):
            return kind
    if has_fast:
        return TOKENIZERS.get("PreTrainedTokenizer")
    here = sorted(path.name for path in folder.iterdir() if path.is_file())[:20]
    wanted = f"tokenizer.json, or {CONFIG} with a tokenizer_class and its vocabulary"
    if named is not None:
        raise NotFoundError(
            f"The tokenizer class {named!r} of {folder} is not known, and there is no tokenizer.json to read instead. "
            f"{did_you_mean(named, TOKENIZERS)}"
        )
    raise NotFoundError(
        f"No tokenizer in {folder}: looked for {wanted}, or config.json with a model_type that has one "
        f"(model_type: {model_type!r}). The folder has {', '.join(here) or 'no files'}."
    )
