"""Mistral (Jiang et al. 2023, arXiv:2310.06825): Llama whose attention slides over a window.

Hub: mistralai/Mistral-7B-v0.1, mistralai/Mistral-7B-Instruct-v0.2, HuggingFaceH4/zephyr-7b-beta.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ..registry import register
from .decoder import Decoder, DecoderConfig, heads, rotary_table
from .llama import WEIGHTS, family, layer, norm


@dataclass(kw_only=True, init=False, repr=False)
class MistralConfig(DecoderConfig):
    """config.json of Mistral."""

    model_type: ClassVar[str] = "mistral"

    intermediate_size: int = 14336
    num_key_value_heads: int | None = 8
    head_dim: int | None = None
    max_position_embeddings: int = 131072
    rms_norm_eps: float = 1e-6
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    sliding_window: int | None = 4096


def backbone(config: Any) -> Decoder:
    """Mistral's decoder."""
    layers = (layer(config, number) for number in range(config.num_hidden_layers))
    windows = {"full": config.sliding_window}
    return Decoder(config, layers, norm(config), rotary={"full": rotary_table(config)}, windows=windows)


register("mistral", family(config=MistralConfig, backbone=backbone, weights=WEIGHTS, heads=heads(span=True)))
