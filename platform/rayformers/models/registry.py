"""Architectures and the classes made of them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from torch import nn

from ..errors import UnknownNameError, did_you_mean
from ..weights import Rule, WeightMap
from .catalog import CATALOG
from .config import PretrainedConfig
from .heads import Head

Weights = WeightMap | Callable[[Any], WeightMap]


@dataclass(frozen=True, kw_only=True)
class HeadSpec:
    """How one architecture wears a head.

    Args:
        build: (config, backbone) -> head module.
        weights: name rules of the head, our side below "head."; or config -> rules.
        pooler: whether the backbone's pooler is built for it.
        options: further keyword arguments for the backbone.
        tied: pairs of our names (alias, source) that share one parameter where config.tie_word_embeddings.
        always_tied: whether they are shared whatever the configuration says.
        hub_prefix: what files of this head put before the backbone's names where it is not the architecture's prefix.
        also: Auto classes that this head stands for beside those of its suffix.
        unsaved: patterns of our names that files of this head do not carry (tables that are computed).
        ignored: patterns of backbone names that files may carry and this head does not use (a full model's decoder).
        copied: pairs of our names (name, source): where files lack the name and it is not tied, it starts as a copy;
            where they carry both with different values, these are not tied.
    """

    build: Callable[[Any, nn.Module], Head]
    weights: tuple[Rule, ...] | Callable[[Any], tuple[Rule, ...]] = ()
    pooler: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    tied: tuple[tuple[str, str], ...] = ()
    always_tied: bool = False
    hub_prefix: str | None = None
    also: tuple[str, ...] = ()
    unsaved: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    copied: tuple[tuple[str, str], ...] = ()

    def rules(self, config: Any) -> tuple[Rule, ...]:
        """The name rules for a configuration."""
        return self.weights(config) if callable(self.weights) else self.weights


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What one architecture file registers.

    Args:
        config: its configuration class.
        backbone: makes the backbone from a configuration; takes `pooler=` where `has_pooler`.
        weights: name rules of the backbone, without the prefix that head models put before it; or config -> rules.
        hub_prefix: that prefix ("vit"), "" where files of head models carry none.
        heads: class suffix ("ForImageClassification") -> the head.
        optional: patterns of our backbone names that files may lack or carry in excess ("pooler.*").
        has_pooler: whether `backbone` takes `pooler=`.
        main_input: name of the main input.
        initialise: initialises one module freshly (module, config) -> whether it did; the default is normal with
            `initializer_range`.
        tied: pairs of our names (alias, source) within the backbone that share one parameter.
        mixins: base classes that only this architecture's models need.
        computed: patterns of our names that files may lack because they begin with the value that they keep.
        float32: patterns of our names that stay in float32 where a checkpoint is loaded in float16.
    """

    config: type[PretrainedConfig]
    backbone: Callable[..., nn.Module]
    weights: Weights
    hub_prefix: str
    heads: Mapping[str, HeadSpec] = field(default_factory=dict)
    optional: tuple[str, ...] = ()
    has_pooler: bool = False
    main_input: str = "input_ids"
    initialise: Callable[[nn.Module, Any], bool] | None = None
    tied: tuple[tuple[str, str], ...] = ()
    mixins: tuple[type, ...] = ()
    computed: tuple[str, ...] = ()
    float32: tuple[str, ...] = ()

    def rules(self, config: PretrainedConfig) -> WeightMap:
        """The backbone's name rules for a configuration."""
        return self.weights if isinstance(self.weights, WeightMap) else self.weights(config)


_ARCHITECTURES: dict[str, Architecture] = {}


def register(model_type: str, architecture: Architecture) -> None:
    """Register an architecture; users add their own in the same way.

    Raises:
        ValueError: the model_type is taken.
    """
    if model_type in _ARCHITECTURES:
        raise ValueError(f"model_type {model_type!r} is registered already.")
    _ARCHITECTURES[model_type] = architecture


def architecture(model_type: str) -> Architecture:
    """The architecture of a model_type, its module imported when first asked for.

    Raises:
        UnknownNameError: none has that name.
    """
    if model_type not in _ARCHITECTURES:
        if model_type not in CATALOG:
            raise UnknownNameError(
                f"Unknown model_type {model_type!r}. {did_you_mean(model_type, [*CATALOG, *_ARCHITECTURES])} "
                "Your own is added with rayformers.models.registry.register(model_type, Architecture(...))."
            )
        importlib.import_module(f"rayformers.models.{CATALOG[model_type].module}")
    return _ARCHITECTURES[model_type]


def prefix(model_type: str) -> str:
    """The prefix of an architecture's class names: "ViT"."""
    if model_type in CATALOG:
        return CATALOG[model_type].prefix
    return architecture(model_type).config.__name__.removesuffix("Config")


def class_name(model_type: str, suffix: str) -> str:
    """The name of an architecture's class: prefix + suffix, or what its row of the catalog says."""
    own = CATALOG[model_type].names if model_type in CATALOG else {}
    return own.get(suffix, prefix(model_type) + suffix)


@cache
def model_class(model_type: str, suffix: str) -> type:
    """The model class prefix + suffix of an architecture, made when first asked for.

    Raises:
        UnknownNameError: the architecture has no such head; the message lists what it has.
    """
    from .base import PreTrainedModel

    parts = architecture(model_type)
    name = class_name(model_type, suffix)
    if suffix not in ("Model", "PreTrainedModel") and suffix not in parts.heads:
        have = ", ".join(class_name(model_type, known) for known in ("Model", *parts.heads))
        raise UnknownNameError(f"{model_type!r} has no class {name!r}; it has {have}.")
    values = {
        "__module__": "rayformers",  # where pickle finds it again
        "__doc__": f"{parts.config.__name__} -> {name}: {(parts.backbone.__doc__ or '').strip()}",
        "model_type": model_type,
        "suffix": suffix,
        "config_class": parts.config,
        "base_model_prefix": parts.hub_prefix or "model",
        "main_input_name": parts.main_input,
    }
    return type(name, (*parts.mixins, PreTrainedModel), values)
