"""GPT-NeoX (Black et al. 2022, arXiv:2204.06745): parallel branches with a norm each, a part of each head rotated.

Hub: EleutherAI/gpt-neox-20b, EleutherAI/pythia-70m ... pythia-12b, databricks/dolly-v2-3b.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from ...nn.activations import activation
from ...nn.attention import Attention
from ...nn.feedforward import MLP
from ...nn.positions import Rope
from ...nn.residual import Parallel, Residual, Sequential
from ...weights import Drop, Rename, Split, WeightMap
from ..registry import Architecture, register
from .decoder import (
    Decoder,
    RopeConfig,
    check_heads,
    head_dim,
    lm_head,
    rotary_table,
    sequence_head,
    span_head,
    token_head,
)
from .llama import ATTENTION, FEEDFORWARD, LAYER


@dataclass(kw_only=True, init=False, repr=False)
class GPTNeoXConfig(RopeConfig):
    """config.json of GPT-NeoX. `rotary_pct` and `rotary_emb_base` are the first names of the two rotary keys."""

    model_type: ClassVar[str] = "gpt_neox"

    vocab_size: int = 50432
    hidden_size: int = 6144
    num_hidden_layers: int = 44
    num_attention_heads: int = 64
    intermediate_size: int = 24576
    hidden_act: str = "gelu"
    rotary_pct: float = 0.25
    rotary_emb_base: float = 10000
    rope_theta: float | None = None  # type: ignore[assignment]
    partial_rotary_factor: float | None = None
    attention_dropout: float = 0.0
    hidden_dropout: float = 0.0
    classifier_dropout: float = 0.1
    max_position_embeddings: int = 2048
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-5
    bos_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 2
    tie_word_embeddings: bool = False
    use_parallel_residual: bool = True
    attention_bias: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.rotary_emb_base = self.rope_theta = self.rotary_emb_base if self.rope_theta is None else self.rope_theta
        factor = self.partial_rotary_factor
        self.rotary_pct = self.partial_rotary_factor = self.rotary_pct if factor is None else factor
        check_heads(self)


def layer(config: Any, number: int) -> Parallel | Sequential:
    """One layer, its branches side by side or one after the other."""
    width, dropout = config.hidden_size, config.hidden_dropout
    attention = Attention(
        width, config.num_attention_heads, layer=number, bias=config.attention_bias, rope=Rope(),
        dropout=config.attention_dropout,
    )  # fmt: skip
    mlp = MLP(width, config.intermediate_size, activation(config.hidden_act))
    arrange = Parallel if config.use_parallel_residual else Sequential
    return arrange(
        Residual(attention, before=nn.LayerNorm(width, config.layer_norm_eps), dropout=dropout),
        Residual(mlp, before=nn.LayerNorm(width, config.layer_norm_eps), dropout=dropout),
    )


def backbone(config: Any) -> Decoder:
    """GPT-NeoX's decoder."""
    return Decoder(
        config,
        (layer(config, number) for number in range(config.num_hidden_layers)),
        nn.LayerNorm(config.hidden_size, config.layer_norm_eps),
        rotary={"full": rotary_table(config, int(head_dim(config) * config.rotary_pct))},
        dropout=config.hidden_dropout,
        embedding=nn.Embedding(config.vocab_size, config.hidden_size),
    )


def weights(config: Any) -> WeightMap:
    """Rules; the packed projection holds queries, keys and values of one head after the other."""
    return WeightMap(
        Rename("embed_in", "embed_tokens"),
        Rename("final_layer_norm", "stack.norm"),
        Rename(LAYER + "input_layernorm", ATTENTION + "before"),
        Rename(LAYER + "post_attention_layernorm", FEEDFORWARD + "before"),
        Drop(LAYER + "attention.bias"),
        Drop(LAYER + "attention.masked_bias"),
        Drop(LAYER + "attention.rotary_emb.inv_freq"),
        Split(
            LAYER + "attention.query_key_value",
            tuple(f"{ATTENTION}branch.{name}_proj" for name in "qkv"),
            heads=config.num_attention_heads,
        ),
        Rename(LAYER + "attention.dense", ATTENTION + "branch.o_proj"),
        Rename(LAYER + "mlp.dense_h_to_4h", FEEDFORWARD + "branch.fc1"),
        Rename(LAYER + "mlp.dense_4h_to_h", FEEDFORWARD + "branch.fc2"),
    )


register(
    "gpt_neox",
    Architecture(
        config=GPTNeoXConfig,
        backbone=backbone,
        weights=weights,
        hub_prefix="gpt_neox",
        heads={
            "ForCausalLM": lm_head(hub="embed_out"),
            "ForSequenceClassification": sequence_head(),
            "ForTokenClassification": token_head(hub="classifier"),
            "ForQuestionAnswering": span_head(),
        },
    ),
)
