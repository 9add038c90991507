"""Qwen3 with mixtures of experts (Yang et al. 2025, arXiv:2505.09388).

Hub: Qwen/Qwen3-30B-A3B, Qwen/Qwen3-235B-A22B.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import nn

from ...nn.activations import activation
from ...nn.experts import MixtureOfExperts
from ...weights import Rename, Stack, WeightMap
from ..registry import register
from .decoder import DecoderConfig, heads, lm_head, rotary_table
from .llama import FEEDFORWARD, LAYER, QK_NORMS, WEIGHTS, family, layer, mlp, norm
from .mixtral import MoeCausalLM, MoeDecoder
from .qwen3 import normed_attention


@dataclass(kw_only=True, init=False, repr=False)
class Qwen3MoeConfig(DecoderConfig):
    """config.json of Qwen3's mixtures of experts."""

    model_type: ClassVar[str] = "qwen3_moe"

    vocab_size: int = 151936
    hidden_size: int = 2048
    intermediate_size: int = 6144
    num_hidden_layers: int = 24
    num_key_value_heads: int | None = 4
    head_dim: int | None = None
    max_position_embeddings: int = 32768
    rms_norm_eps: float = 1e-6
    attention_bias: bool = False
    use_sliding_window: bool = False
    sliding_window: int | None = 4096
    decoder_sparse_step: int = 1
    moe_intermediate_size: int = 768
    num_experts_per_tok: int = 8
    num_experts: int = 128
    norm_topk_prob: bool = False
    output_router_logits: bool = False
    router_aux_loss_coef: float = 0.001
    mlp_only_layers: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.use_sliding_window:
            self.sliding_window = None
        self.mlp_only_layers = self.mlp_only_layers or []
        if self.head_dim is None:
            self.head_dim = self.hidden_size // self.num_attention_heads
        if (count := self.__dict__.pop("num_local_experts", None)) is not None:  # what some writers call it
            self.num_experts = count


def feedforward(config: Any, number: int) -> nn.Module:
    """A mixture of experts, or in the layers that the configuration names one dense layer."""
    sparse = number not in config.mlp_only_layers and (number + 1) % config.decoder_sparse_step == 0
    if not sparse or config.num_experts == 0:
        return mlp(config)
    return MixtureOfExperts(
        config.hidden_size, config.moe_intermediate_size, config.num_experts, config.num_experts_per_tok,
        activation(config.hidden_act), normalise=config.norm_topk_prob, std=config.initializer_range,
    )  # fmt: skip


def backbone(config: Any) -> MoeDecoder:
    """The decoder."""
    layers = (
        layer(config, number, attn=normed_attention(config, number), feedforward=feedforward(config, number))
        for number in range(config.num_hidden_layers)
    )
    windows = {"full": config.sliding_window}
    return MoeDecoder(config, layers, norm(config), rotary={"full": rotary_table(config)}, windows=windows)


def weights(config: Any) -> WeightMap:
    """Rules; the experts' tensors are stacked."""
    mixture, ours = LAYER + "mlp.", FEEDFORWARD + "branch."
    stacked = (
        Stack(f"{mixture}experts.{{e}}.{name}.weight", f"{ours}experts.{name}", count=config.num_experts)
        for name in ("gate_proj", "up_proj", "down_proj")
    )
    return WEIGHTS + QK_NORMS + (Rename(mixture + "gate", ours + "gate"), *stacked)


register(
    "qwen3_moe",
    family(
        config=Qwen3MoeConfig,
        backbone=backbone,
        weights=weights,
        heads=heads(lm_head(MoeCausalLM), span=True, span_prefix="transformer"),
    ),
)
