"""Falcon (Almazrouei et al. 2023, arXiv:2311.16867) in its three layouts: 7B, 40B, and RW with ALiBi.

Hub: tiiuae/falcon-7b (one key-value head), tiiuae/falcon-40b (groups, two norms), tiiuae/falcon-rw-1b.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from ...nn.activations import activation
from ...nn.attention import Attention
from ...nn.feedforward import MLP
from ...nn.positions import Rope, alibi_slopes
from ...nn.residual import Parallel, Residual, Sequential
from ...weights import Drop, Rename, Rule, Split, WeightMap
from ..registry import Architecture, register
from .bloom import AlibiDecoder
from .decoder import Decoder, RopeConfig, check_heads, lm_head, rotary_table, sequence_head, span_head, token_head
from .gpt2 import ATTENTION, FEEDFORWARD, LAYER


@dataclass(kw_only=True, init=False, repr=False)
class FalconConfig(RopeConfig):
    """config.json of Falcon."""

    model_type: ClassVar[str] = "falcon"

    vocab_size: int = 65024
    hidden_size: int = 4544
    num_hidden_layers: int = 32
    num_attention_heads: int = 71
    num_ln_in_parallel_attn: int | None = None
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02
    hidden_dropout: float = 0.0
    attention_dropout: float = 0.0
    num_kv_heads: int | None = None
    alibi: bool = False
    new_decoder_architecture: bool = False
    multi_query: bool = True
    parallel_attn: bool = True
    bias: bool = False
    max_position_embeddings: int = 2048
    bos_token_id: int | None = 11
    eos_token_id: int | list[int] | None = 11
    ffn_hidden_size: int | None = None
    activation: str = "gelu"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.hidden_size = self.__dict__.pop("n_embed", None) or self.hidden_size
        self.num_hidden_layers = self.__dict__.pop("n_layer", None) or self.num_hidden_layers
        self.num_attention_heads = self.__dict__.pop("n_head", None) or self.num_attention_heads
        self.num_kv_heads = self.__dict__.pop("n_head_kv", None) or self.num_kv_heads or self.num_attention_heads
        self.ffn_hidden_size = self.ffn_hidden_size or 4 * self.hidden_size
        check_heads(self)


def groups(config: Any) -> int:
    """Key-value heads."""
    many = config.new_decoder_architecture or not config.multi_query
    return int(config.num_kv_heads) if many else 1


def norms(config: Any) -> int:
    """How many norms stand before the branches of a layer: one for both, or one for each."""
    if config.new_decoder_architecture:
        return 2 if config.num_ln_in_parallel_attn in (None, 2) else 1
    return 1 if config.parallel_attn else 2


def layer(config: Any, number: int) -> nn.Module:
    """One layer, its branches side by side except in the RW models."""
    width = config.hidden_size
    attention = Attention(
        width, config.num_attention_heads, layer=number, kv_heads=groups(config), bias=config.bias,
        rope=None if config.alibi else Rope(), bias_kind="alibi" if config.alibi else None,
        dropout=config.attention_dropout,
    )  # fmt: skip
    mlp = MLP(width, config.ffn_hidden_size, activation(config.activation), bias=config.bias)

    def norm() -> nn.LayerNorm:
        return nn.LayerNorm(width, config.layer_norm_epsilon)

    dropout = config.hidden_dropout
    if norms(config) == 1:
        return Parallel(Residual(attention, dropout=dropout), Residual(mlp, dropout=dropout), norm=norm())
    if config.new_decoder_architecture:
        return Parallel(
            Residual(attention, before=norm(), dropout=dropout), Residual(mlp, before=norm(), dropout=dropout)
        )
    return Sequential(
        Residual(attention, before=norm(), dropout=config.attention_dropout),
        Residual(mlp, before=norm(), dropout=dropout),
    )


def backbone(config: Any) -> Decoder:
    """Falcon's decoder."""
    parts = (
        config,
        (layer(config, number) for number in range(config.num_hidden_layers)),
        nn.LayerNorm(config.hidden_size, config.layer_norm_epsilon),
    )
    embedding = nn.Embedding(config.vocab_size, config.hidden_size)
    if config.alibi:  # the biases are scaled as the scores are
        scale = (config.hidden_size // config.num_attention_heads) ** -0.5
        return AlibiDecoder(*parts, embedding=embedding, slopes=alibi_slopes(config.num_attention_heads) * scale)
    return Decoder(*parts, embedding=embedding, rotary={"full": rotary_table(config)})


def packed(config: Any) -> Rule:
    """How the packed projection is cut: one group after the other, or all queries first."""
    hub, ours = LAYER + "self_attention.query_key_value", tuple(f"{ATTENTION}branch.{name}_proj" for name in "qkv")
    width, heads = config.hidden_size // config.num_attention_heads, config.num_attention_heads
    if config.new_decoder_architecture:
        return Split(hub, ours, heads=groups(config), sizes=(heads // groups(config) * width, width, width))
    if config.multi_query:
        return Split(hub, ours, sizes=(heads * width, width, width))
    return Split(hub, ours, heads=heads)


def weights(config: Any) -> WeightMap:
    """Rules for one of the layouts."""
    placed: tuple[Rule, ...]
    if norms(config) == 1:
        placed = (Rename(LAYER + "input_layernorm", "stack.layers.{i}.norm"),)
    else:
        new = config.new_decoder_architecture
        names = ("ln_attn", "ln_mlp") if new else ("input_layernorm", "post_attention_layernorm")
        placed = (Rename(LAYER + names[0], ATTENTION + "before"), Rename(LAYER + names[1], FEEDFORWARD + "before"))
    return WeightMap(
        Rename("word_embeddings", "embed_tokens"),
        *placed,
        packed(config),
        Drop(LAYER + "self_attention.rotary_emb.inv_freq"),
        Rename(LAYER + "self_attention.dense", ATTENTION + "branch.o_proj"),
        Rename(LAYER + "mlp.dense_h_to_4h", FEEDFORWARD + "branch.fc1"),
        Rename(LAYER + "mlp.dense_4h_to_h", FEEDFORWARD + "branch.fc2"),
        Rename("ln_f", "stack.norm"),
    )


register(
    "falcon",
    Architecture(
        config=FalconConfig,
        backbone=backbone,
        weights=weights,
        hub_prefix="transformer",
        heads={
            "ForCausalLM": lm_head(),
            "ForSequenceClassification": sequence_head(),
            "ForTokenClassification": token_head(hub="classifier"),
            "ForQuestionAnswering": span_head(),
        },
    ),
)
