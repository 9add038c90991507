"""Auto classes: from a checkpoint's model_type to the class of an architecture and head."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from ..errors import CheckpointError, ConfigError, UnknownNameError, did_you_mean
from .catalog import AUTO_CLASSES, CATALOG
from .config import PretrainedConfig, split_hub_options
from .registry import architecture, model_class


def config_class(model_type: str) -> type[PretrainedConfig]:
    """The configuration class of an architecture."""
    return architecture(model_type).config


class AutoConfig:
    """Configurations by model_type (guide: auto classes)."""

    @staticmethod
    def for_model(model_type: str, **values: Any) -> PretrainedConfig:
        """A configuration of an architecture; `values` are keys of its config.json."""
        return config_class(model_type)(**values)

    @staticmethod
    def from_pretrained(reference: str | os.PathLike[str], **options: Any) -> Any:
        """Read config.json and build the configuration that its model_type names.

        Raises:
            NotFoundError: there is no config.json.
            CheckpointError: it names no model_type.
            UnknownNameError: no architecture has that model_type.
        """
        return_unused = options.pop("return_unused_kwargs", False)
        values, rest = PretrainedConfig.get_config_dict(os.fspath(reference), **options)
        model_type = values.get("model_type")
        if not model_type:
            raise CheckpointError(
                f"config.json of {os.fspath(reference)!r} has no 'model_type'. Add it; {did_you_mean('', CATALOG)}"
            )
        config, unused = config_class(str(model_type)).from_dict(values, return_unused_kwargs=True, **rest)
        if return_unused:
            return config, unused
        if unused:
            raise ConfigError(f"The configuration of {model_type!r} does not know {sorted(unused)}.")
        return config

    @staticmethod
    def register(model_type: str, config: type[PretrainedConfig]) -> None:
        """Tell how own architectures are registered: with their parts, not with a configuration alone."""
        raise ConfigError(
            f"Register {model_type!r} with rayformers.models.registry.register(model_type, Architecture(config=..., "
            "backbone=..., weights=..., heads=...)); every Auto class then knows it."
        )


class AutoModelBase:
    """Base of the Auto classes; `suffixes` are the class suffixes that one stands for, in order of preference."""

    suffixes: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError(f"{type(self).__name__} makes models by from_pretrained(...) or from_config(...).")

    @classmethod
    def class_for(cls, config: PretrainedConfig) -> type:
        """The model class for a configuration.

        Raises:
            UnknownNameError: the architecture has no such head; the message says what it has.
        """
        model_type = type(config).model_type
        heads = architecture(model_type).heads
        named = [name for name in config.architectures or () for suffix in cls.suffixes if name.endswith(suffix)]
        for suffix in sorted(cls.suffixes, key=lambda s: not any(name.endswith(s) for name in named)):
            if suffix == "Model" or suffix in heads:
                return model_class(model_type, suffix)
        for suffix, head in heads.items():
            if cls.__name__ in head.also:
                return model_class(model_type, suffix)
        raise UnknownNameError(
            f"{cls.__name__} does not cover {model_type!r}, which has the heads {', '.join(heads) or 'none'}."
        )

    @classmethod
    def from_config(cls, config: PretrainedConfig, **options: Any) -> Any:
        """A freshly initialised model; see PreTrainedModel."""
        return cls.class_for(config)._from_config(config, **options)  # type: ignore[attr-defined]

    @classmethod
    def from_pretrained(cls, reference: str | os.PathLike[str], *args: Any, **options: Any) -> Any:
        """Load a checkpoint; see PreTrainedModel.from_pretrained."""
        config = options.pop("config", None)
        if not isinstance(config, PretrainedConfig):
            hub, _ = split_hub_options(options)
            config = AutoConfig.from_pretrained(config or reference, **hub)
            found = cls.class_for(config)
            return found.from_pretrained(reference, *args, **options)  # type: ignore[attr-defined]
        return cls.class_for(config).from_pretrained(reference, *args, config=config, **options)  # type: ignore[attr-defined]


def auto_class(name: str) -> type[AutoModelBase]:
    """The Auto class of that name."""
    if name not in _CLASSES:
        raise UnknownNameError(f"Unknown Auto class {name!r}. {did_you_mean(name, _CLASSES)}")
    return _CLASSES[name]


def _make(name: str, suffixes: tuple[str, ...]) -> type[AutoModelBase]:
    doc = f"Models of any architecture with the first of these classes that it has: {', '.join(suffixes)}."
    return type(name, (AutoModelBase,), {"suffixes": suffixes, "__doc__": doc, "__module__": __name__})


_CLASSES: dict[str, type[AutoModelBase]] = {name: _make(name, suffixes) for name, suffixes in AUTO_CLASSES.items()}


def __getattr__(name: str) -> Any:
    if name in _CLASSES:
        return _CLASSES[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
