"""Qwen2 and Qwen2.5 (Yang et al. 2024, arXiv:2407.10671): Llama with biases on queries, keys and values.

Hub: Qwen/Qwen2-0.5B, Qwen/Qwen2.5-7B-Instruct, Qwen/Qwen2.5-Coder-7B.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ..registry import register
from .decoder import Decoder, DecoderConfig, heads, rotary_table
from .llama import WEIGHTS, attention, family, layer, norm


@dataclass(kw_only=True, init=False, repr=False)
class QwenConfig(DecoderConfig):
    """Keys that Qwen2 and Qwen3 share; the upper layers may slide over a window."""

    vocab_size: int = 151936
    intermediate_size: int = 22016
    num_key_value_heads: int | None = 32
    max_position_embeddings: int = 32768
    rms_norm_eps: float = 1e-6
    use_sliding_window: bool = False
    sliding_window: int | None = 4096
    max_window_layers: int = 28
    layer_types: list[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.use_sliding_window:
            self.sliding_window = None
        if self.layer_types is None:
            first = self.num_hidden_layers if self.sliding_window is None else self.max_window_layers
            self.layer_types = [
                "full_attention" if number < first else "sliding_attention" for number in range(self.num_hidden_layers)
            ]


@dataclass(kw_only=True, init=False, repr=False)
class Qwen2Config(QwenConfig):
    """config.json of Qwen2."""

    model_type: ClassVar[str] = "qwen2"


KINDS = {"full_attention": "full", "sliding_attention": "sliding"}


def mask_kind(config: Any, number: int) -> str:
    """The mask of one layer, "full" or "sliding", as `layer_types` says."""
    return KINDS[config.layer_types[number]]


def windows(config: Any) -> dict[str, int | None]:
    """The masks that the layers need, and their windows."""
    kinds = {"full": None, "sliding": config.sliding_window}
    needed = {KINDS[kind] for kind in config.layer_types[: config.num_hidden_layers]}
    return {kind: window for kind, window in kinds.items() if kind in needed}


def backbone(config: Any) -> Decoder:
    """Qwen2's decoder."""
    layers = (
        layer(config, number, attn=attention(config, number, bias=True, out_bias=False, mask=mask_kind(config, number)))
        for number in range(config.num_hidden_layers)
    )
    return Decoder(config, layers, norm(config), rotary={"full": rotary_table(config)}, windows=windows(config))


QWEN_HEADS = heads(span=True, span_prefix="transformer")

register("qwen2", family(config=Qwen2Config, backbone=backbone, weights=WEIGHTS, heads=QWEN_HEADS))
