"""MPNet (Song et al. 2020, arXiv:2004.09297): RoBERTa's embedding without segments, with a bias by relative position.

Hub: microsoft/mpnet-base, sentence-transformers/all-mpnet-base-v2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from ...nn.context import Context
from ...nn.stacks import Stack
from ...weights import Rename, WeightMap
from ..config import PretrainedConfig
from ..outputs import BaseModelOutputWithPoolingAndCrossAttentions
from ..registry import Architecture, HeadSpec, register
from .encoder import EMBEDDINGS, FIRST_TOKEN_RULES, TIED, Encoder, PaddedPositions, first_token, heads, layer
from .roberta import masked, predictions

MAX_DISTANCE = 128
PADDING = 1
"""Positions count from here whatever the configuration calls padding."""


@dataclass(kw_only=True, init=False, repr=False)
class MPNetConfig(PretrainedConfig):
    """config.json of MPNet."""

    model_type: ClassVar[str] = "mpnet"

    vocab_size: int = 30527
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    relative_attention_num_buckets: int = 32
    pad_token_id: int | None = 1
    bos_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 2


def buckets(length: int, count: int, device: torch.device) -> Tensor:
    """[T, T] bucket of each key's distance from each query: exact when near, logarithmic when far (T5, both ways)."""
    positions = torch.arange(length, device=device)
    distance = positions[None] - positions[:, None]
    half = count // 2
    exact = half // 2
    size = distance.abs()
    far = exact + (size.clamp(min=1).float() / exact).log() / math.log(MAX_DISTANCE / exact) * (half - exact)
    bucket = torch.where(size < exact, size, far.long().clamp(max=half - 1))
    return bucket + half * (distance > 0)


class MPNet(Encoder):
    """A Transformer encoder: input_ids [B, T] -> last_hidden_state [B, T, D], pooler_output [B, D]."""

    def __init__(self, config: MPNetConfig, *, pooler: bool = True) -> None:
        stack = Stack(layer(config, number, bias_kind="relative") for number in range(config.num_hidden_layers))
        super().__init__(
            config, pooler=pooler, embed=partial(PaddedPositions, segments=False, padding=PADDING), stack=stack
        )
        self.relative = nn.Embedding(config.relative_attention_num_buckets, config.num_attention_heads)

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        *,
        context: Context,
    ) -> BaseModelOutputWithPoolingAndCrossAttentions:
        """Encode; attention_mask [B, T] has ones for text and zeros for padding."""
        given = inputs_embeds if input_ids is None else input_ids
        if given is not None:  # the trained checkpoints use 32 buckets however many the table has
            bucket = buckets(given.shape[1], min(32, self.relative.num_embeddings), given.device)
            context.biases["relative"] = self.relative(bucket).permute(2, 0, 1)[None]
        return super().forward(input_ids, attention_mask, None, position_ids, inputs_embeds, context=context)


LAYER, OURS = "encoder.layer.{i}.", "stack.layers.{i}."
WEIGHTS = WeightMap(
    *EMBEDDINGS,
    Rename("encoder.relative_attention_bias", "relative"),
    Rename(LAYER + "attention.attn.q", OURS + "attn.branch.q_proj"),
    Rename(LAYER + "attention.attn.k", OURS + "attn.branch.k_proj"),
    Rename(LAYER + "attention.attn.v", OURS + "attn.branch.v_proj"),
    Rename(LAYER + "attention.attn.o", OURS + "attn.branch.o_proj"),
    Rename(LAYER + "attention.LayerNorm", OURS + "attn.after"),
    Rename(LAYER + "intermediate.dense", OURS + "mlp.branch.fc1"),
    Rename(LAYER + "output.dense", OURS + "mlp.branch.fc2"),
    Rename(LAYER + "output.LayerNorm", OURS + "mlp.after"),
    Rename("pooler.dense", "pooler.dense"),
)


register(
    "mpnet",
    Architecture(
        config=MPNetConfig,
        backbone=MPNet,
        weights=WEIGHTS,
        hub_prefix="mpnet",
        has_pooler=True,
        optional=("pooler.*",),
        heads=heads(
            ForMaskedLM=HeadSpec(build=masked, weights=predictions, tied=TIED),
            ForSequenceClassification=HeadSpec(build=first_token("tanh"), weights=FIRST_TOKEN_RULES),
        ),
    ),
)
