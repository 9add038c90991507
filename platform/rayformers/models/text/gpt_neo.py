"""GPT-Neo (Black et al. 2021, doi:10.5281/zenodo.5297715): GPT-2 with unscaled scores and windows in every other layer.

Hub: EleutherAI/gpt-neo-125m, EleutherAI/gpt-neo-1.3B, EleutherAI/gpt-neo-2.7B.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...errors import ConfigError
from ...nn.activations import activation
from ...nn.attention import Attention, causal_mask
from ...nn.context import Context
from ...nn.feedforward import MLP
from ...nn.residual import Residual, Sequential
from ...weights import Drop, Rename, WeightMap
from ..config import PretrainedConfig
from ..registry import Architecture, register
from .decoder import lm_head, sequence_head, span_head, token_head
from .gpt2 import ATTENTION, FEEDFORWARD, GPT2, LAYER


def _types() -> list[Any]:
    return [[["global", "local"], 12]]


@dataclass(kw_only=True, init=False, repr=False)
class GPTNeoConfig(PretrainedConfig):
    """config.json of GPT-Neo. `attention_types` holds patterns and how often each repeats."""

    model_type: ClassVar[str] = "gpt_neo"
    attribute_map: ClassVar[dict[str, str]] = {"num_attention_heads": "num_heads", "num_hidden_layers": "num_layers"}

    vocab_size: int = 50257
    max_position_embeddings: int = 2048
    hidden_size: int = 2048
    num_layers: int = 24
    attention_types: list[Any] = field(default_factory=_types)
    attention_layers: list[str] | None = None
    num_heads: int = 16
    intermediate_size: int | None = None
    window_size: int = 256
    activation_function: str = "gelu_new"
    resid_dropout: float = 0.0
    embed_dropout: float = 0.0
    attention_dropout: float = 0.0
    classifier_dropout: float = 0.1
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02
    bos_token_id: int | None = 50256
    eos_token_id: int | list[int] | None = 50256

    def __post_init__(self) -> None:
        self.attention_layers = [
            kind for pattern, repeats in self.attention_types for _ in range(repeats) for kind in pattern
        ]
        if len(self.attention_layers) != self.num_layers:
            raise ConfigError(
                f"attention_types {self.attention_types} makes {len(self.attention_layers)} layers; num_layers is "
                f"{self.num_layers}. Make them agree."
            )
        if self.hidden_size % self.num_heads:
            raise ConfigError(f"hidden_size {self.hidden_size} is no multiple of num_heads {self.num_heads}.")


def layer(config: Any, number: int) -> Sequential:
    """One pre-norm layer; "local" ones see a window."""
    width, epsilon, dropout = config.hidden_size, config.layer_norm_epsilon, config.resid_dropout
    attention = Attention(
        width, config.num_heads, layer=number, bias=False, out_bias=True, scale=1.0, dropout=config.attention_dropout,
        mask=config.attention_layers[number], bias_kind=config.attention_layers[number],
    )  # fmt: skip
    mlp = MLP(width, config.intermediate_size or 4 * width, activation(config.activation_function))
    return Sequential(
        Residual(attention, before=nn.LayerNorm(width, epsilon), dropout=dropout),
        Residual(mlp, before=nn.LayerNorm(width, epsilon), dropout=dropout),
    )


class GPTNeo(GPT2):
    """GPT-2's decoder; where padding hides all that a position sees, it attends evenly, as the reference does."""

    def open_masks(self, context: Context, x: Tensor, seen: int, attention_mask: Tensor | None) -> None:
        super().open_masks(context, x, seen, attention_mask)
        if attention_mask is None or attention_mask.ndim != 2 or x.shape[1] == 1:
            return
        length, keys = x.shape[1], seen + x.shape[1]
        text = attention_mask.bool()[:, None, None]
        past = causal_mask(length, keys, x.device)
        for kind, window in self.windows.items():
            mask = context.masks[kind]
            if mask is None or bool(mask.any(-1).all()):
                continue
            near = causal_mask(length, keys, x.device, window)
            evenly = past & (near ^ text) & ~mask.any(-1, keepdim=True)
            bias = torch.zeros(mask.shape, dtype=x.dtype, device=x.device).masked_fill_(~mask, -torch.inf)
            context.biases[kind] = bias.masked_fill_(evenly, torch.finfo(x.dtype).min)
            context.masks[kind] = None


def backbone(config: Any) -> GPTNeo:
    """GPT-Neo's decoder."""
    layers = (layer(config, number) for number in range(config.num_layers))
    windows = {"global": None, "local": config.window_size}
    return GPTNeo(
        config, layers, dropout=config.embed_dropout, epsilon=config.layer_norm_epsilon, windows=windows
    )  # fmt: skip


HUB = LAYER + "attn.attention."
WEIGHTS = WeightMap(
    Rename("wte", "embed_tokens"),
    Rename("wpe", "embed_positions"),
    Rename(LAYER + "ln_1", ATTENTION + "before"),
    Drop(HUB + "bias"),
    Drop(HUB + "masked_bias"),
    *(Rename(f"{HUB}{name}", f"{ATTENTION}branch.{name}") for name in ("q_proj", "k_proj", "v_proj")),
    Rename(HUB + "out_proj", ATTENTION + "branch.o_proj"),
    Rename(LAYER + "ln_2", FEEDFORWARD + "before"),
    Rename(LAYER + "mlp.c_fc", FEEDFORWARD + "branch.fc1"),
    Rename(LAYER + "mlp.c_proj", FEEDFORWARD + "branch.fc2"),
    Rename("ln_f", "stack.norm"),
)

register(
    "gpt_neo",
    Architecture(
        config=GPTNeoConfig,
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
