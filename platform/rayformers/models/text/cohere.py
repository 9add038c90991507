"""Cohere's Command R (2024): parallel branches, layer norms without bias, neighbouring pairs rotated, scaled logits.

Hub: CohereForAI/c4ai-command-r-v01, CohereForAI/c4ai-command-r-plus.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...nn.positions import Rope, rotate_pairs
from ...nn.residual import Parallel, Residual
from ...weights import Rename, WeightMap
from ..registry import register
from ..text_heads import CausalLM
from .decoder import Decoder, DecoderConfig, head_dim, heads, lm_head, rotary_table
from .llama import GATED, LAYER, OUTSIDE, PROJECTIONS, QK_NORMS, attention, family, mlp


@dataclass(kw_only=True, init=False, repr=False)
class CohereConfig(DecoderConfig):
    """config.json of Command R."""

    model_type: ClassVar[str] = "cohere"

    vocab_size: int = 256000
    hidden_size: int = 8192
    intermediate_size: int = 22528
    logit_scale: float = 0.0625
    num_hidden_layers: int = 40
    num_attention_heads: int = 64
    max_position_embeddings: int = 8192
    layer_norm_eps: float = 1e-5
    pad_token_id: int | None = 0
    bos_token_id: int | None = 5
    eos_token_id: int | list[int] | None = 255001
    tie_word_embeddings: bool = True
    attention_bias: bool = False
    use_qk_norm: bool = False


class HeadsNorm(nn.Module):
    """Layer norm of each head [..., H, E] with weights of its own, no bias."""

    def __init__(self, count: int, dim: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(count, dim))
        self.eps = eps

    def reset_parameters(self) -> None:
        nn.init.ones_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.layer_norm(x.float(), x.shape[-1:], eps=self.eps)
        return (self.weight.float() * y).to(x.dtype)


def norm(config: Any) -> nn.LayerNorm:
    """Layer norm without bias."""
    return nn.LayerNorm(config.hidden_size, config.layer_norm_eps, bias=False)


def layer(config: Any, number: int) -> Parallel:
    """Attention and feed-forward read one norm."""
    parts: dict[str, Any] = {"rope": Rope(rotate=rotate_pairs)}
    if config.use_qk_norm:
        for name, count in (("q_norm", config.num_attention_heads), ("k_norm", config.num_key_value_heads)):
            parts[name] = HeadsNorm(count, head_dim(config), config.layer_norm_eps)
    return Parallel(Residual(attention(config, number, **parts)), Residual(mlp(config)), norm=norm(config))


def backbone(config: Any) -> Decoder:
    """Command R's decoder."""
    layers = (layer(config, number) for number in range(config.num_hidden_layers))
    return Decoder(config, layers, norm(config), rotary={"full": rotary_table(config)})


def scaled_lm(config: Any, model: nn.Module) -> CausalLM:
    """The next token's logits, scaled."""
    return CausalLM(config, model, scale=config.logit_scale)


NORM = Rename(LAYER + "input_layernorm", "stack.layers.{i}.norm")
WEIGHTS = WeightMap(*OUTSIDE, *PROJECTIONS, *QK_NORMS, *GATED, NORM)

register(
    "cohere",
    family(
        config=CohereConfig,
        backbone=backbone,
        weights=WEIGHTS,
        heads=heads(lm_head(scaled_lm), sequence=False, token=False),
    ),
)
