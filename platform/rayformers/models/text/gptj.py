"""GPT-J (Wang and Komatsuzaki 2021): parallel branches behind one norm, neighbouring pairs of part of a head rotated.

Hub: EleutherAI/gpt-j-6b.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from torch import nn

from ...errors import ConfigError
from ...nn.activations import activation
from ...nn.attention import Attention
from ...nn.feedforward import MLP
from ...nn.positions import Rope, RotaryTable, rotate_pairs
from ...nn.residual import Parallel, Residual
from ...weights import Drop, Rename, WeightMap
from ..config import PretrainedConfig
from ..registry import Architecture, register
from ..text_heads import CausalLM
from .decoder import lm_head, sequence_head, span_head
from .gpt2 import ATTENTION, FEEDFORWARD, GPT2, LAYER


@dataclass(kw_only=True, init=False, repr=False)
class GPTJConfig(PretrainedConfig):
    """config.json of GPT-J."""

    model_type: ClassVar[str] = "gptj"
    attribute_map: ClassVar[dict[str, str]] = {
        "hidden_size": "n_embd", "max_position_embeddings": "n_positions", "num_attention_heads": "n_head",
        "num_hidden_layers": "n_layer",
    }  # fmt: skip

    vocab_size: int = 50400
    n_positions: int = 2048
    n_embd: int = 4096
    n_layer: int = 28
    n_head: int = 16
    rotary_dim: int | None = 64
    n_inner: int | None = None
    activation_function: str = "gelu_new"
    resid_pdrop: float = 0.0
    embd_pdrop: float = 0.0
    attn_pdrop: float = 0.0
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02
    bos_token_id: int | None = 50256
    eos_token_id: int | list[int] | None = 50256
    tie_word_embeddings: bool = False

    def __post_init__(self) -> None:
        if self.n_embd % self.n_head:
            raise ConfigError(f"n_embd {self.n_embd} is no multiple of n_head {self.n_head}.")


def layer(config: Any, number: int) -> Parallel:
    """Attention and feed-forward read one norm."""
    width = config.n_embd
    attention = Attention(
        width, config.n_head, layer=number, bias=False, rope=Rope(rotate=rotate_pairs), dropout=config.attn_pdrop
    )
    mlp = MLP(width, config.n_inner or 4 * width, activation(config.activation_function))
    return Parallel(
        Residual(attention, dropout=config.resid_pdrop),
        Residual(mlp, dropout=config.resid_pdrop),
        norm=nn.LayerNorm(width, config.layer_norm_epsilon),
    )


def backbone(config: Any) -> GPT2:
    """GPT-J's decoder."""
    layers = (layer(config, number) for number in range(config.n_layer))
    table = RotaryTable(config.rotary_dim or config.n_embd // config.n_head, 10000.0)
    return GPT2(
        config, layers, dropout=config.embd_pdrop, epsilon=config.layer_norm_epsilon, learned=False,
        rotary={"full": table},
    )  # fmt: skip


WEIGHTS = WeightMap(
    Rename("wte", "embed_tokens"),
    Rename(LAYER + "ln_1", "stack.layers.{i}.norm"),
    Drop(LAYER + "attn.bias"),
    Drop(LAYER + "attn.masked_bias"),
    *(Rename(f"{LAYER}attn.{name}", f"{ATTENTION}branch.{name}") for name in ("q_proj", "k_proj", "v_proj")),
    Rename(LAYER + "attn.out_proj", ATTENTION + "branch.o_proj"),
    Rename(LAYER + "mlp.fc_in", FEEDFORWARD + "branch.fc1"),
    Rename(LAYER + "mlp.fc_out", FEEDFORWARD + "branch.fc2"),
    Rename("ln_f", "stack.norm"),
)

register(
    "gptj",
    Architecture(
        config=GPTJConfig,
        backbone=backbone,
        weights=WEIGHTS,
        hub_prefix="transformer",
        heads={
            "ForCausalLM": lm_head(partial(CausalLM, bias=True)),
            "ForSequenceClassification": sequence_head(),
            "ForQuestionAnswering": span_head(),
        },
    ),
)
