"""Phi-3 (Abdin et al. 2024, arXiv:2404.14219): Llama with packed projections, long-range rotary scaling and a window.

Hub: microsoft/Phi-3-mini-4k-instruct, microsoft/Phi-3-mini-128k-instruct, microsoft/Phi-4-mini-instruct.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ...nn.residual import Residual, Sequential
from ...weights import Rename, Split, WeightMap
from ..registry import register
from .decoder import Decoder, DecoderConfig, head_dim, heads, rotary_table
from .llama import ATTENTION, FEEDFORWARD, LAYER, OUTSIDE, PRE_NORMS, attention, family, mlp, norm


@dataclass(kw_only=True, init=False, repr=False)
class Phi3Config(DecoderConfig):
    """config.json of Phi-3."""

    model_type: ClassVar[str] = "phi3"

    vocab_size: int = 32064
    hidden_size: int = 3072
    intermediate_size: int = 8192
    resid_pdrop: float = 0.0
    embd_pdrop: float = 0.0
    max_position_embeddings: int = 4096
    original_max_position_embeddings: int | None = 4096
    rms_norm_eps: float = 1e-5
    partial_rotary_factor: float = 1.0
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 32000
    pad_token_id: int | None = 32000
    sliding_window: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        scaling = self.rope_scaling
        if scaling and (scaling.get("rope_type") or scaling.get("type")) in ("su", "yarn"):  # earlier names
            self.rope_scaling = {**scaling, "type": "longrope", "rope_type": "longrope"}


def layer(config: Any, number: int) -> Sequential:
    """One pre-norm layer with dropout on both branches."""
    dropout = config.resid_pdrop
    return Sequential(
        Residual(attention(config, number), before=norm(config), dropout=dropout),
        Residual(mlp(config), before=norm(config), dropout=dropout),
    )


def backbone(config: Any) -> Decoder:
    """Phi-3's decoder."""
    layers = (layer(config, number) for number in range(config.num_hidden_layers))
    rotary = {"full": rotary_table(config, int(head_dim(config) * config.partial_rotary_factor))}
    return Decoder(config, layers, norm(config), rotary=rotary, windows={"full": config.sliding_window})


def weights(config: Any) -> WeightMap:
    """Rules; how the packed projection is cut depends on the numbers of heads."""
    width = head_dim(config)
    groups = width * config.num_key_value_heads
    return WeightMap(
        *OUTSIDE,
        *PRE_NORMS,
        Split(
            LAYER + "self_attn.qkv_proj",
            tuple(f"{ATTENTION}branch.{name}" for name in ("q_proj", "k_proj", "v_proj")),
            sizes=(width * config.num_attention_heads, groups, groups),
        ),
        Rename(LAYER + "self_attn.o_proj", ATTENTION + "branch.o_proj"),
        Split(LAYER + "mlp.gate_up_proj", tuple(f"{FEEDFORWARD}branch.{name}" for name in ("gate_proj", "up_proj"))),
        Rename(LAYER + "mlp.down_proj", FEEDFORWARD + "branch.down_proj"),
    )


register("phi3", family(config=Phi3Config, backbone=backbone, weights=weights, heads=heads()))
