"""MPT (MosaicML 2023): ALiBi, packed projections, no biases anywhere.

Hub: mosaicml/mpt-7b, mosaicml/mpt-7b-instruct, mosaicml/mpt-30b.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...errors import ConfigError
from ...nn.activations import activation
from ...nn.attention import Attention
from ...nn.context import Context
from ...nn.feedforward import MLP
from ...nn.residual import Residual, Sequential
from ...weights import Rename, Split, WeightMap
from ..config import PretrainedConfig
from ..registry import Architecture, register
from .bloom import AlibiDecoder
from .decoder import lm_head, sequence_head, span_head, token_head
from .gpt2 import ATTENTION, FEEDFORWARD

ATTENTION_DEFAULTS: Mapping[str, Any] = {
    "attn_type": "multihead_attention", "attn_pdrop": 0.0, "attn_impl": "torch", "clip_qkv": None,
    "softmax_scale": None, "prefix_lm": False, "qk_ln": False, "attn_uses_sequence_id": False, "alibi": True,
    "alibi_bias_max": 8,
}  # fmt: skip


@dataclass(kw_only=True, init=False, repr=False)
class MptConfig(PretrainedConfig):
    """config.json of MPT; `attn_config` nests the keys of its attention."""

    model_type: ClassVar[str] = "mpt"
    attribute_map: ClassVar[dict[str, str]] = {
        "num_attention_heads": "n_heads", "hidden_size": "d_model", "num_hidden_layers": "n_layers",
    }  # fmt: skip

    d_model: int = 2048
    n_heads: int = 16
    n_layers: int = 24
    expansion_ratio: int = 4
    max_seq_len: int = 2048
    vocab_size: int = 50368
    resid_pdrop: float = 0.0
    layer_norm_epsilon: float = 1e-5
    emb_pdrop: float = 0.0
    learned_pos_emb: bool = True
    attn_config: dict[str, Any] = field(default_factory=dict)
    init_device: str = "cpu"
    logit_scale: float | str | None = None
    no_bias: bool = True
    verbose: int = 0
    embedding_fraction: float = 1.0
    norm_type: str = "low_precision_layernorm"
    use_cache: bool = False
    initializer_range: float = 0.02

    def __post_init__(self) -> None:
        self.attn_config = {**ATTENTION_DEFAULTS, **(self.attn_config or {})}
        if self.d_model % self.n_heads:
            raise ConfigError(f"d_model {self.d_model} is no multiple of n_heads {self.n_heads}.")


class ClippedLinear(nn.Linear):
    """A linear layer whose output is kept within +-limit."""

    limit: float = torch.inf

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).clamp(-self.limit, self.limit)


def slopes(heads: int, bias_max: float = 8.0) -> Tensor:
    """One slope a head [H], spread over 2 ** -bias_max; for a number that is no power of two, every other one first.

    The reference leaves `alibi_bias_max` of the configuration out, and so do we: files must give equal logits.
    """
    power = 2 ** math.ceil(math.log2(heads))
    base = 2.0 ** -(torch.arange(1, power + 1, device="cpu").float() * bias_max / power)
    return base if power == heads else torch.cat((base[1::2], base[::2]))[:heads]


class MptDecoder(AlibiDecoder):
    """A decoder whose distances count all positions, padding too."""

    def place(self, context: Context, x: Tensor, positions: Tensor, keys: int, attention_mask: Tensor | None) -> None:
        distances = torch.arange(1 - keys, 1, device=x.device, dtype=torch.float32)
        bias = self.slopes.to(x.device, torch.float32)[None, :, None, None] * distances
        context.biases["alibi"] = bias.to(x.dtype)


def layer(config: Any, number: int) -> Sequential:
    """One pre-norm layer without biases."""
    width, settings = config.d_model, config.attn_config
    attention = Attention(
        width, config.n_heads, layer=number, bias=False, bias_kind="alibi", scale=settings["softmax_scale"],
        dropout=settings["attn_pdrop"],
    )  # fmt: skip
    if settings["clip_qkv"]:
        for name in ("q_proj", "k_proj", "v_proj"):
            part = ClippedLinear(width, width, bias=False)
            part.limit = float(settings["clip_qkv"])
            setattr(attention, name, part)
    mlp = MLP(width, 4 * width, activation("gelu"), bias=False)

    def norm() -> nn.LayerNorm:
        return nn.LayerNorm(width, config.layer_norm_epsilon, bias=False)

    dropout = settings["attn_pdrop"]
    return Sequential(
        Residual(attention, before=norm(), dropout=dropout), Residual(mlp, before=norm(), dropout=dropout)
    )


def backbone(config: Any) -> MptDecoder:
    """MPT's decoder."""
    return MptDecoder(
        config,
        (layer(config, number) for number in range(config.n_layers)),
        nn.LayerNorm(config.d_model, config.layer_norm_epsilon, bias=False),
        embedding=nn.Embedding(config.vocab_size, config.d_model),
        slopes=slopes(config.n_heads),
    )


LAYER = "blocks.{i}."
WEIGHTS = WeightMap(
    Rename("wte", "embed_tokens"),
    Rename("norm_f", "stack.norm"),
    Rename(LAYER + "norm_1", ATTENTION + "before"),
    Split(LAYER + "attn.Wqkv", tuple(f"{ATTENTION}branch.{name}_proj" for name in "qkv")),
    Rename(LAYER + "attn.out_proj", ATTENTION + "branch.o_proj"),
    Rename(LAYER + "norm_2", FEEDFORWARD + "before"),
    Rename(LAYER + "ffn.up_proj", FEEDFORWARD + "branch.fc1"),
    Rename(LAYER + "ffn.down_proj", FEEDFORWARD + "branch.fc2"),
)

register(
    "mpt",
    Architecture(
        config=MptConfig,
        backbone=backbone,
        weights=WEIGHTS,
        hub_prefix="transformer",
        heads={
            "ForCausalLM": lm_head(),
            "ForSequenceClassification": sequence_head(),
            "ForTokenClassification": token_head(hub="classifier"),
            "ForQuestionAnswering": span_head(),
        },
    ),
)
