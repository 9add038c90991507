"""BART (Lewis et al. 2019, arXiv:1910.13461): an encoder-decoder with learned positions and norms after each branch.

Hub: facebook/bart-base, facebook/bart-large-cnn, facebook/bart-large-mnli.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...errors import ConfigError
from ...nn.activations import activation
from ...nn.attention import Attention
from ...nn.feedforward import MLP
from ...nn.residual import Residual, Sequential
from ...nn.stacks import Stack
from ...weights import Drop, Rename, Rule, WeightMap
from ..config import PretrainedConfig
from ..registry import Architecture, HeadSpec, register
from ..seq2seq_heads import AlignedLM, Seq2SeqLM, Seq2SeqSequenceClassifier, Seq2SeqSpanExtractor
from .inputs import check_length
from .seq2seq import (
    SHARED,
    TIED,
    Decoder,
    DecoderOnly,
    Encoder,
    EncoderDecoder,
    ScaledEmbedding,
    Seq2SeqMethods,
    Shift,
    shift_right,
)


@dataclass(kw_only=True, init=False, repr=False)
class BartBase(PretrainedConfig):
    """Keys that BART and its descendants share."""

    attribute_map: ClassVar[dict[str, str]] = {
        "hidden_size": "d_model", "num_attention_heads": "encoder_attention_heads",
        "num_hidden_layers": "encoder_layers", "initializer_range": "init_std",
    }  # fmt: skip

    vocab_size: int = 50265
    max_position_embeddings: int = 1024
    encoder_layers: int = 12
    encoder_ffn_dim: int = 4096
    encoder_attention_heads: int = 16
    decoder_layers: int = 12
    decoder_ffn_dim: int = 4096
    decoder_attention_heads: int = 16
    encoder_layerdrop: float = 0.0
    decoder_layerdrop: float = 0.0
    activation_function: str = "gelu"
    d_model: int = 1024
    dropout: float = 0.1
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
    init_std: float = 0.02
    scale_embedding: bool = False
    is_encoder_decoder: bool = True

    def __init__(self, **values: Any) -> None:
        if "encoder_layers" in values:
            values.pop("num_hidden_layers", None)  # version 4 writes both; the first is what counts
        super().__init__(**values)

    def __post_init__(self) -> None:
        for heads in (self.encoder_attention_heads, self.decoder_attention_heads):
            if self.d_model % heads:
                raise ConfigError(f"d_model {self.d_model} is no multiple of the {heads} attention heads. Change one.")


@dataclass(kw_only=True, init=False, repr=False)
class BartConfig(BartBase):
    """config.json of BART."""

    model_type: ClassVar[str] = "bart"

    classifier_dropout: float = 0.0
    id2label: dict[int, str] = field(default_factory=lambda: {number: f"LABEL_{number}" for number in range(3)})
    pad_token_id: int | None = 1
    bos_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 2
    decoder_start_token_id: int | None = 2
    forced_eos_token_id: int | list[int] | None = 2


class LearnedPositions(nn.Module):
    """A vector for each position: adds [1, T, D].

    Args:
        positions: how many texts may have.
        dim: D.
        offset: rows before the first position's.
    """

    def __init__(self, positions: int, dim: int, *, offset: int = 0) -> None:
        super().__init__()
        self.table = nn.Embedding(positions + offset, dim)
        self.positions, self.offset = positions, offset

    def forward(self, x: Tensor, ids: Tensor | None, seen: int) -> Tensor:
        check_length(seen + x.shape[1], self.positions)
        first = seen + self.offset
        return self.table(torch.arange(first, first + x.shape[1], device=x.device))[None]


def scale(config: Any) -> float:
    """Factor on the token embeddings."""
    return math.sqrt(config.d_model) if config.scale_embedding else 1.0


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Where BART's descendants differ.

    Args:
        pre_norm: norms before each branch, and one after the last layer, in place of norms after each branch.
        embedding_norm: a norm of the embeddings; `decoder_norm_first`: the decoder's before positions are added.
        positions: config -> what adds positions, one for each half.
        scaled_embedding: whether the embedding module itself scales, so that given inputs_embeds are scaled already.
        decoder_scale: the decoder's factor where the embedding module does not scale; it applies to given embeddings.
        shift: makes the decoder's inputs of labels.
        shifts_inputs: whether the decoder reads the shifted source where it is given nothing.
        separate: config -> whether encoder and decoder have embeddings of their own.
    """

    pre_norm: bool = False
    embedding_norm: bool = False
    decoder_norm_first: bool = False
    positions: Callable[[Any], nn.Module]
    scaled_embedding: bool = True
    decoder_scale: Callable[[Any], float] = scale
    shift: Shift = shift_right
    shifts_inputs: bool = False
    separate: Callable[[Any], bool] = lambda config: False


def layer(config: Any, number: int, *, heads: int, hidden: int, pre_norm: bool, decodes: bool) -> Sequential:
    """One layer of the encoder or the decoder."""

    def residual(branch: nn.Module) -> Residual:
        norm = nn.LayerNorm(config.d_model)
        placed: Any = {"before": norm} if pre_norm else {"after": norm}
        return Residual(branch, dropout=config.dropout, **placed)

    attention = partial(Attention, config.d_model, heads, layer=number, dropout=config.attention_dropout)
    mlp = MLP(config.d_model, hidden, activation(config.activation_function), dropout=config.activation_dropout)
    cross = residual(attention(cross=True)) if decodes else None
    return Sequential(residual(attention()), residual(mlp), cross=cross)


def half(config: Any, embed: nn.Module, parts: Parts, *, decodes: bool) -> Any:
    """The encoder or the decoder."""
    side = "decoder" if decodes else "encoder"
    count, heads, hidden, drop = (
        getattr(config, f"{side}_{name}") for name in ("layers", "attention_heads", "ffn_dim", "layerdrop")
    )
    layers = (
        layer(config, number, heads=heads, hidden=hidden, pre_norm=parts.pre_norm, decodes=decodes)
        for number in range(count)
    )
    stack = Stack(layers, nn.LayerNorm(config.d_model) if parts.pre_norm else None, layer_drop=drop)
    factor = 1.0 if parts.scaled_embedding else parts.decoder_scale(config) if decodes else scale(config)
    kind = Decoder if decodes else Encoder
    return kind(
        config, embed, stack,
        positions=parts.positions(config),
        norm=nn.LayerNorm(config.d_model) if parts.embedding_norm else None,
        norm_first=decodes and parts.decoder_norm_first,
        dropout=config.dropout,
        scale=factor,
        scale_given=decodes,
    )  # fmt: skip


def embedding(config: Any, parts: Parts, rows: int | None = None) -> ScaledEmbedding:
    """Token embeddings."""
    factor = scale(config) if parts.scaled_embedding else 1.0
    return ScaledEmbedding(rows or config.vocab_size, config.d_model, config.pad_token_id, scale=factor)


def backbone(config: Any, *, parts: Parts, decoder_only: bool = False) -> nn.Module:
    """The encoder-decoder, or its decoder alone."""
    rows = getattr(config, "decoder_vocab_size", None)
    if decoder_only:
        return DecoderOnly(config, half(config, embedding(config, parts, rows), parts, decodes=True))
    separate = parts.separate(config)
    first = embedding(config, parts)
    second = embedding(config, parts, rows) if separate else first
    return EncoderDecoder(
        config, half(config, first, parts, decodes=False), half(config, second, parts, decodes=True),
        shared=None if separate else first, shift=parts.shift, shifts_inputs=parts.shifts_inputs,
    )  # fmt: skip


def _side(name: str) -> tuple[Rule, ...]:
    hub, ours = f"{name}.layers.{{i}}.", f"{name}.stack.layers.{{i}}."
    rules: list[Rule] = []
    for theirs, mine in (("self_attn", "attn"), ("encoder_attn", "cross")):
        rules += [Rename(f"{hub}{theirs}.{p}_proj", f"{ours}{mine}.branch.{p}_proj") for p in "qkv"]
        rules.append(Rename(f"{hub}{theirs}.out_proj", f"{ours}{mine}.branch.o_proj"))
    rules += [Rename(hub + fc, f"{ours}mlp.branch.{fc}") for fc in ("fc1", "fc2")]
    return (
        *rules,
        Rename(f"{name}.embed_tokens", f"{name}.embed"),
        Rename(f"{name}.layernorm_embedding", f"{name}.norm"),
        Rename(f"{name}.layer_norm", f"{name}.stack.norm"),
        Drop(f"{name}.version"),
    )


def _norms(name: str, place: str) -> tuple[Rule, ...]:
    hub, ours = f"{name}.layers.{{i}}.", f"{name}.stack.layers.{{i}}."
    pairs = (("self_attn_layer_norm", "attn"), ("encoder_attn_layer_norm", "cross"), ("final_layer_norm", "mlp"))
    return tuple(Rename(hub + theirs, f"{ours}{mine}.{place}") for theirs, mine in pairs)


def weights(parts: Parts, positions: tuple[Rule, ...]) -> WeightMap:
    """Name rules.

    Args:
        parts: the descendant's.
        positions: rules of what adds positions.
    """
    place = "before" if parts.pre_norm else "after"
    sides = tuple(rule for name in ("encoder", "decoder") for rule in (*_side(name), *_norms(name, place)))
    return WeightMap(Rename("shared", "shared"), *sides, *positions)


LEARNED = tuple(Rename(f"{name}.embed_positions", f"{name}.positions.table") for name in ("encoder", "decoder"))


BIASED = partial(Seq2SeqLM, logits_bias=True)


def lm_head(build: Callable[[Any, nn.Module], Any] = BIASED) -> HeadSpec:
    """The head that predicts the target text."""
    return HeadSpec(
        build=build,
        weights=(Rename("lm_head", "head.lm_head"), Rename("final_logits_bias", "head.final_logits_bias")),
        tied=TIED,
    )


# Files of whole models hold the embedding that both halves share once; a decoder alone takes it for its own.
EMBEDDING = ("model.decoder.embed_tokens", "decoder.embed_tokens", "model.shared", "shared")
CAUSAL = HeadSpec(
    build=AlignedLM,
    weights=(Rename("lm_head", "head.lm_head"), Rename(EMBEDDING, "backbone.decoder.embed")),
    options={"decoder_only": True},
    ignored=("encoder.*", "shared.*"),
    tied=TIED,
)


def _classifier(config: Any, parts: nn.Module) -> Seq2SeqSequenceClassifier:
    return Seq2SeqSequenceClassifier(config, parts, dropout=config.classifier_dropout)


UNDERSTANDING = {
    "ForSequenceClassification": HeadSpec(
        build=_classifier,
        weights=tuple(Rename(f"classification_head.{name}", f"head.{name}") for name in ("dense", "out_proj")),
    ),
    "ForQuestionAnswering": HeadSpec(build=Seq2SeqSpanExtractor, weights=(Rename("qa_outputs", "head.qa_outputs"),)),
}


class BartMethods(Seq2SeqMethods):
    """Writes files that the reference reads as they are meant."""

    def hub_state_dict(self, state_dict: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
        """The weights under the Hub's names.

        Where the projection is not tied, the reference does not tie the halves' embeddings either: it reads one each.
        """
        tensors: dict[str, Tensor] = super().hub_state_dict(state_dict)  # type: ignore[misc]
        if not self.config.tie_word_embeddings:
            for name in [name for name in tensors if name in ("shared.weight", "model.shared.weight")]:
                for side in ("encoder", "decoder"):
                    copy = tensors[name].clone()
                    tensors[name.replace("shared", f"{side}.embed_tokens")] = copy
        return tensors


def family(config: type[PretrainedConfig], parts: Parts, positions: tuple[Rule, ...] = LEARNED, **more: Any) -> Any:
    """The architecture of a descendant; `more` are Architecture's own arguments."""
    heads = {"ForConditionalGeneration": lm_head(), "ForCausalLM": CAUSAL}
    options: dict[str, Any] = {
        "hub_prefix": "model", "tied": SHARED, "mixins": (BartMethods,), "heads": heads,
        "computed": ("head.final_logits_bias",),
    }  # fmt: skip
    return Architecture(
        config=config, backbone=partial(backbone, parts=parts), weights=weights(parts, positions), **(options | more)
    )


def learned(config: Any, *, offset: int = 0) -> LearnedPositions:
    """Learned positions."""
    return LearnedPositions(config.max_position_embeddings, config.d_model, offset=offset)


PARTS = Parts(embedding_norm=True, positions=partial(learned, offset=2), shifts_inputs=True)
HEADS = {
    "ForConditionalGeneration": replace(lm_head(), also=("AutoModelForMaskedLM",)),
    "ForCausalLM": CAUSAL,
    **UNDERSTANDING,
}

register("bart", family(BartConfig, PARTS, heads=HEADS))
