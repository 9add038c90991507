"""Gemma (Gemma Team 2024, arXiv:2403.08295): Llama with scaled embeddings and norms stored around zero.

Hub: google/gemma-2b, google/gemma-7b-it, google/codegemma-2b.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from ...nn.activations import activation
from ...nn.feedforward import GatedMLP
from ...nn.norms import RMSNorm
from ...nn.residual import Residual, Sequential
from ..registry import register
from .decoder import Decoder, DecoderConfig, heads, rotary_table
from .llama import WEIGHTS, attention, family


@dataclass(kw_only=True, init=False, repr=False)
class GemmaConfig(DecoderConfig):
    """config.json of Gemma."""

    model_type: ClassVar[str] = "gemma"

    vocab_size: int = 256000
    hidden_size: int = 3072
    intermediate_size: int = 24576
    num_hidden_layers: int = 28
    num_attention_heads: int = 16
    num_key_value_heads: int | None = 16
    head_dim: int | None = 256
    hidden_act: str = "gelu_pytorch_tanh"
    hidden_activation: str | None = None
    max_position_embeddings: int = 8192
    rms_norm_eps: float = 1e-6
    pad_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 1
    bos_token_id: int | None = 2
    tie_word_embeddings: bool = True
    attention_bias: bool = False


def norm(config: Any, dim: int | None = None) -> nn.Module:
    """RMS normalisation whose weight is an offset from one."""
    return RMSNorm(dim or config.hidden_size, config.rms_norm_eps, offset=1.0)


def mlp(config: Any) -> GatedMLP:
    """The gated feed-forward layer; the "gelu" of the first releases' files means its tanh approximation."""
    name = config.hidden_activation or config.hidden_act
    name = "gelu_pytorch_tanh" if name == "gelu" else name
    return GatedMLP(config.hidden_size, config.intermediate_size, activation(name))


def backbone(config: Any) -> Decoder:
    """Gemma's decoder."""
    layers = (
        Sequential(Residual(attention(config, number), before=norm(config)), Residual(mlp(config), before=norm(config)))
        for number in range(config.num_hidden_layers)
    )
    rotary = {"full": rotary_table(config)}
    return Decoder(config, layers, norm(config), rotary=rotary, scale=config.hidden_size**0.5)


register("gemma", family(config=GemmaConfig, backbone=backbone, weights=WEIGHTS, heads=heads()))
