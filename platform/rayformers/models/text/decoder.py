"""What decoders share: embedding, positions, masks and cache of one call; heads; the keys of rotary configurations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import ConfigError
from ...nn import masks
from ...nn.cache import DynamicCache
from ...nn.context import Context
from ...nn.positions import RotaryTable, rope_settings
from ...nn.stacks import Stack
from ...weights import Rename
from ..config import PretrainedConfig
from ..outputs import BaseModelOutputWithPast
from ..registry import HeadSpec
from ..text_heads import CausalLM, LastTokenClassifier, SpanExtractor, TokenClassifier
from .inputs import embed_tokens


@dataclass(kw_only=True, init=False, repr=False)
class RopeConfig(PretrainedConfig):
    """Keys of rotary positions. Version 5 files hold them in one key, `rope_parameters`; version 4 keys are written."""

    rope_theta: float = 10000.0
    rope_scaling: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        new = self.__dict__.pop("rope_parameters", None)
        if isinstance(new, Mapping):
            settings = dict(new)
            for key in ("rope_theta", "partial_rotary_factor"):
                if key in settings:
                    setattr(self, key, settings.pop(key))
            self.rope_scaling = None if settings.get("rope_type", "default") == "default" else settings
            if settings.get("rope_type") == "longrope" and "original_max_position_embeddings" in settings:
                # version 4 reads it from beside rope_scaling only
                self.original_max_position_embeddings = settings["original_max_position_embeddings"]


@dataclass(kw_only=True, init=False, repr=False)
class DecoderConfig(RopeConfig):
    """Keys that most decoders with rotary positions have."""

    vocab_size: int = 32000
    hidden_size: int = 4096
    intermediate_size: int = 11008
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int | None = None
    hidden_act: str = "silu"
    max_position_embeddings: int = 2048
    initializer_range: float = 0.02
    attention_dropout: float = 0.0
    tie_word_embeddings: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_key_value_heads is None:
            self.num_key_value_heads = self.num_attention_heads
        check_heads(self)


def check_heads(config: Any) -> None:
    """Raise a ConfigError where the heads do not divide the width or one another."""
    width, heads = config.hidden_size, config.num_attention_heads
    groups = getattr(config, "num_key_value_heads", None) or heads
    if width % heads and not getattr(config, "head_dim", None):
        raise ConfigError(
            f"hidden_size {width} is no multiple of num_attention_heads {heads}; give head_dim or change one."
        )
    if heads % groups:
        raise ConfigError(f"num_attention_heads {heads} is no multiple of num_key_value_heads {groups}.")


def head_dim(config: Any) -> int:
    """Width of an attention head."""
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def rotary_table(config: Any, dim: int | None = None) -> RotaryTable:
    """Cosines and sines as a configuration says; `dim` is the rotated width of a head, default all of it."""
    base, scaling = rope_settings(config)
    if scaling is not None and "longrope" in (scaling.get("rope_type"), scaling.get("type")):
        scaling = {key: value for key, value in scaling.items() if key != "original_max_position_embeddings"}
        original = getattr(config, "original_max_position_embeddings", None)
        if original is not None:
            scaling["original_max_position_embeddings"] = original
            scaling["factor"] = config.max_position_embeddings / original
    return RotaryTable(dim or head_dim(config), base, scaling, config.max_position_embeddings)


def _explicit(mask: Tensor) -> Tensor:
    """A [B, H, Q, K] mask as given, boolean; of an additive one, zeros are attended to."""
    return mask == 0 if mask.is_floating_point() else mask.bool()


def open_cache(context: Context, past_key_values: Any, use_cache: bool) -> int:
    """Put the cache into the context, a new one where none is given; gives the number of positions in it."""
    if isinstance(past_key_values, (tuple, list)):  # keys and values of each layer, as older versions pass them
        past_key_values = DynamicCache.from_legacy_cache(past_key_values)
    context.cache = DynamicCache() if past_key_values is None and use_cache else past_key_values
    return 0 if context.cache is None else int(context.cache.get_seq_length())


def open_masks(
    context: Context, x: Tensor, seen: int, attention_mask: Tensor | None, windows: Mapping[str, int | None],
    *, bidirectional: bool = False,
) -> None:  # fmt: skip
    """Fill the context's masks, causal ones by default: one for each kind of `windows`, whose value is its window."""
    length = x.shape[1]
    if attention_mask is not None and attention_mask.ndim == 4:
        context.masks = dict.fromkeys(windows, _explicit(attention_mask))
        return
    pad = masks.padding(attention_mask, seen + length)
    keys = seen + length
    context.causal = pad is None and not bidirectional
    for kind, window in windows.items():
        if not bidirectional:
            context.masks[kind] = masks.causal(length, keys, x.device, pad, window)
        else:
            context.masks[kind] = pad if window is None else masks.window(length, keys, x.device, window - 1, pad)


class Decoder(nn.Module):
    """Token embeddings through a causal stack with rotary positions: input_ids [B, T] -> last_hidden_state [B, T, D].

    Args:
        config: the configuration.
        layers: called as layer(x, context).
        norm: after the last layer.
        rotary: position tables by kind.
        windows: kinds of masks and their sliding windows in tokens, None for all positions.
        scale: factor on the embeddings, given ones too (Gemma).
        dropout: on the embeddings.
        embedding: the token embedding, where it is of a special kind; `embedding_norm`: applied to its output.
        bidirectional: whether tokens attend to later ones too (embedding models made of decoders).
    """

    def __init__(
        self,
        config: Any,
        layers: Iterable[nn.Module],
        norm: nn.Module,
        *,
        rotary: Mapping[str, RotaryTable] | None = None,
        windows: Mapping[str, int | None] | None = None,
        scale: float | None = None,
        dropout: float = 0.0,
        embedding: nn.Embedding | None = None,
        embedding_norm: nn.Module | None = None,
        bidirectional: bool = False,
    ) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = embedding or nn.Embedding(config.vocab_size, config.hidden_size, config.pad_token_id)
        self.embed_norm = embedding_norm
        self.dropout = nn.Dropout(dropout)
        self.rotary = nn.ModuleDict(rotary or {})
        self.stack = Stack(layers, norm)
        self.windows = dict(windows or {"full": None})
        self.scale, self.bidirectional = scale, bidirectional

    def token_embedding(self) -> tuple[nn.Module, str]:
        """Where the token embedding is."""
        return self, "embed_tokens"

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        cache_position: Tensor | None = None,
        *,
        context: Context,
    ) -> BaseModelOutputWithPast:
        """Decode; attention_mask [B, past + T] has ones for tokens, past_key_values is the cache of an earlier call."""
        x = embed_tokens(self.embed_tokens, input_ids, inputs_embeds)
        if self.scale is not None:
            x = x * torch.tensor(self.scale, dtype=x.dtype)
        if self.embed_norm is not None:
            x = self.embed_norm(x)
        use_cache = keeps_cache(self, use_cache)
        seen = open_cache(context, past_key_values, use_cache)
        open_masks(context, x, seen, attention_mask, self.windows, bidirectional=self.bidirectional)
        self.place(context, x, positions_of(x, seen, position_ids, cache_position), seen + x.shape[1], attention_mask)
        x = self.stack(self.dropout(x), context)
        return BaseModelOutputWithPast(
            last_hidden_state=x, past_key_values=context.cache if use_cache else None, **context.recorded()
        )

    def place(self, context: Context, x: Tensor, positions: Tensor, keys: int, attention_mask: Tensor | None) -> None:
        """Give the layers their positions [B or 1, T]; `keys` counts those of the cache too."""
        for kind, table in self.rotary.items():
            context.rotary[kind] = table(positions, x.dtype)


def keeps_cache(backbone: Any, use_cache: bool | None) -> bool:
    """Whether this call keeps a cache: as asked for or configured, never while recomputing activations."""
    if backbone.training and backbone.stack.gradient_checkpointing:
        return False
    return bool(backbone.config.use_cache if use_cache is None else use_cache)


def positions_of(x: Tensor, seen: int, position_ids: Tensor | None, cache_position: Tensor | None = None) -> Tensor:
    """[B or 1, T]: as given, else the T positions after those that the cache has seen."""
    if position_ids is not None:
        return position_ids
    if cache_position is not None and cache_position.shape[-1] == x.shape[1]:
        return cache_position[None]
    return torch.arange(seen, seen + x.shape[1], device=x.device)[None]


TIED = (("head.lm_head.weight", "backbone.embed_tokens.weight"),)


def lm_head(build: Callable[[Any, nn.Module], Any] = CausalLM, *, hub: str = "lm_head") -> HeadSpec:
    """The head that predicts the next token."""
    return HeadSpec(build=build, weights=(Rename(hub, "head.lm_head"),), tied=TIED)


def sequence_head(build: Callable[[Any, nn.Module], Any] = LastTokenClassifier) -> HeadSpec:
    """The head that classifies a text by its last token."""
    return HeadSpec(build=build, weights=(Rename("score", "head.score"),))


def _tagger(config: Any, backbone: nn.Module) -> TokenClassifier:
    return TokenClassifier(config, backbone, dropout=classifier_dropout(config))


def classifier_dropout(config: Any) -> float:
    """The rate before a token classifier: classifier_dropout, else hidden_dropout, else 0.1."""
    for name in ("classifier_dropout", "hidden_dropout"):
        if (rate := getattr(config, name, None)) is not None:
            return float(rate)
    return 0.1


def token_head(*, hub: str = "score") -> HeadSpec:
    """The head that classifies every token."""
    return HeadSpec(build=_tagger, weights=(Rename(hub, "head.classifier"),))


def span_head(*, hub_prefix: str | None = None) -> HeadSpec:
    """The head that finds where an answer starts and ends."""
    return HeadSpec(
        build=partial(SpanExtractor), weights=(Rename("qa_outputs", "head.qa_outputs"),), hub_prefix=hub_prefix
    )


def heads(
    lm: HeadSpec | None = None, *, sequence: bool = True, token: bool = True, span: bool = False,
    span_prefix: str | None = None,
) -> dict[str, HeadSpec]:  # fmt: skip
    """The usual heads of a decoder by class suffix."""
    out = {"ForCausalLM": lm or lm_head()}
    if sequence:
        out["ForSequenceClassification"] = sequence_head()
    if token:
        out["ForTokenClassification"] = token_head()
    if span:
        out["ForQuestionAnswering"] = span_head(hub_prefix=span_prefix)
    return out
