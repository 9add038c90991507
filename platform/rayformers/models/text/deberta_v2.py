"""DeBERTa v2 and v3 (He et al. 2021, arXiv:2111.09543): distances in buckets, shared projections, a convolution.

Hub: microsoft/deberta-v3-base, microsoft/deberta-v2-xlarge, MoritzLaurer/DeBERTa-v3-base-mnli-fever-anli.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...nn.activations import activation
from ...nn.context import Context
from ...nn.residual import Sequential
from ...weights import Rename, WeightMap
from ..registry import Architecture, HeadSpec, register
from ..text_heads import MultipleChoice
from .deberta import (
    LAYER,
    OURS,
    POOLED_RULES,
    SHARED_RULES,
    ContextPooler,
    Deberta,
    DebertaConfig,
    DisentangledAttention,
    cls_dropout,
    layer,
    shared_heads,
)


@dataclass(kw_only=True, init=False, repr=False)
class DebertaV2Config(DebertaConfig):
    """config.json of DeBERTa v2 and v3."""

    model_type: ClassVar[str] = "deberta-v2"

    vocab_size: int = 128100
    hidden_size: int = 1536
    num_hidden_layers: int = 24
    num_attention_heads: int = 24
    intermediate_size: int = 6144
    position_buckets: int = -1
    norm_rel_ebd: str = "none"
    share_att_key: bool = False
    conv_kernel_size: int = 0
    conv_groups: int = 1
    conv_act: str = "tanh"


def log_buckets(distance: Tensor, buckets: int, furthest: int) -> Tensor:
    """Distances as they are when near, and on a logarithmic scale beyond half of the buckets."""
    middle = buckets // 2
    size = distance.abs().clamp(min=middle)
    far = ((size / middle).log() / math.log((furthest - 1) / middle) * (middle - 1)).ceil() + middle
    return torch.where(distance.abs() <= middle, distance, (far * distance.sign()).long())


def attention(config: DebertaV2Config, number: int) -> DisentangledAttention:
    """All projections have biases; positions may share those of the content."""
    return DisentangledAttention(config, number, key_bias=True, share=config.share_att_key)


class ConvolvedLayer(nn.Module):
    """The first layer, to whose output a convolution of its input is added: [B, T, D] -> [B, T, D]."""

    def __init__(self, inner: Sequential, config: DebertaV2Config) -> None:
        super().__init__()
        self.attn, self.mlp = inner.attn, inner.mlp
        size, dim = config.conv_kernel_size, config.hidden_size
        self.conv = nn.Conv1d(dim, dim, size, padding=(size - 1) // 2, groups=config.conv_groups)
        self.norm = nn.LayerNorm(dim, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.act = activation(config.conv_act)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        text = context.shared.get("text")
        y = self.conv(x.transpose(1, 2)).transpose(1, 2)
        y = y if text is None else y.masked_fill(~text[..., None], 0)
        out = self.norm(self.mlp(self.attn(x, context), context) + self.act(self.dropout(y)))
        return out if text is None else out * text[..., None].to(out.dtype)


def build_layer(config: DebertaV2Config, number: int) -> nn.Module:
    """One layer; the first one with a convolution where the configuration has one."""
    inner = layer(config, number, attention)
    return ConvolvedLayer(inner, config) if number == 0 and config.conv_kernel_size > 0 else inner


class DebertaV2(Deberta):
    """A Transformer encoder: input_ids [B, T] -> last_hidden_state [B, T, D]."""

    def __init__(self, config: DebertaV2Config) -> None:
        bucketed = config.position_buckets > 0
        bucket = partial(log_buckets, buckets=config.position_buckets, furthest=config.furthest()) if bucketed else None
        norm = "layer_norm" in [part.strip() for part in config.norm_rel_ebd.lower().split("|")]
        super().__init__(config, build=build_layer, bucket=bucket, norm=norm)


class ContextChoice(MultipleChoice):
    """One score for each choice from its pooled text."""

    def __init__(self, config: Any, backbone: nn.Module) -> None:
        super().__init__(config, backbone, dropout=cls_dropout(config))
        self.pooler = ContextPooler(config)

    def summary(self, outputs: Any) -> Tensor:
        return self.pooler(outputs)


SELF, ATTENTION = LAYER + "attention.self.", OURS + "attn.branch."
WEIGHTS = WeightMap(
    *SHARED_RULES,
    Rename("encoder.LayerNorm", "relative_norm"),
    Rename("encoder.conv.conv", "stack.layers.0.conv"),
    Rename("encoder.conv.LayerNorm", "stack.layers.0.norm"),
    Rename(SELF + "query_proj", ATTENTION + "q_proj"),
    Rename(SELF + "key_proj", ATTENTION + "k_proj"),
    Rename(SELF + "value_proj", ATTENTION + "v_proj"),
    Rename(SELF + "pos_key_proj", ATTENTION + "pos_k"),
    Rename(SELF + "pos_query_proj", ATTENTION + "pos_q"),
)

register(
    "deberta-v2",
    Architecture(
        config=DebertaV2Config,
        backbone=DebertaV2,
        weights=WEIGHTS,
        hub_prefix="deberta",
        optional=("embed.position.*",),
        heads=shared_heads(ForMultipleChoice=HeadSpec(build=ContextChoice, weights=POOLED_RULES)),
    ),
)
