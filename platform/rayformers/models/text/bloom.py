"""BLOOM (BigScience 2022, arXiv:2211.05100): ALiBi in place of positions, a norm on the embeddings.

Hub: bigscience/bloom-560m, bigscience/bloomz-560m, bigscience/bloom-7b1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...errors import ConfigError
from ...nn.activations import activation
from ...nn.attention import Attention
from ...nn.context import Context
from ...nn.feedforward import MLP
from ...nn.positions import alibi_slopes
from ...nn.residual import Residual, Sequential
from ...weights import Rename, Split, WeightMap
from ..config import PretrainedConfig
from ..registry import Architecture, register
from .decoder import Decoder, lm_head, sequence_head, span_head, token_head
from .gpt2 import ATTENTION, FEEDFORWARD, LAYER


@dataclass(kw_only=True, init=False, repr=False)
class BloomConfig(PretrainedConfig):
    """config.json of BLOOM."""

    model_type: ClassVar[str] = "bloom"
    attribute_map: ClassVar[dict[str, str]] = {"num_hidden_layers": "n_layer", "num_attention_heads": "n_head"}

    vocab_size: int = 250880
    hidden_size: int = 64
    n_layer: int = 2
    n_head: int = 8
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    apply_residual_connection_post_layernorm: bool = False
    hidden_dropout: float = 0.0
    attention_dropout: float = 0.0
    pretraining_tp: int = 1
    slow_but_exact: bool = False

    def __post_init__(self) -> None:
        self.hidden_size = self.__dict__.pop("n_embed", None) or self.hidden_size
        if self.hidden_size % self.n_head:
            raise ConfigError(f"hidden_size {self.hidden_size} is no multiple of n_head {self.n_head}.")


class AlibiDecoder(Decoder):
    """A decoder whose scores fall with distance (Press et al. 2022, arXiv:2108.12409)."""

    def __init__(self, *args: Any, slopes: Tensor, **parts: Any) -> None:
        super().__init__(*args, **parts)
        self.slopes: Tensor
        self.register_buffer("slopes", slopes, persistent=False)

    def place(self, context: Context, x: Tensor, positions: Tensor, keys: int, attention_mask: Tensor | None) -> None:
        if attention_mask is None or attention_mask.ndim != 2:
            distances = torch.arange(keys, device=x.device)[None]
        else:  # positions count the text only
            distances = (attention_mask.cumsum(-1) - 1) * attention_mask
        slopes = self.slopes.to(x.device, torch.float32)
        context.biases["alibi"] = (slopes[:, None, None] * distances[:, None, None].float()).to(x.dtype)


class NormedResidual(Residual):
    """Adds the branch to its normalised input."""

    def forward(self, x: Tensor, context: Context) -> Tensor:
        assert self.before is not None
        x = self.before(x)
        return x + self.dropout(self.branch(x, context))


def layer(config: Any, number: int) -> Sequential:
    """One layer."""
    width, dropout = config.hidden_size, config.hidden_dropout
    attention = Attention(
        width, config.n_head, layer=number, bias=True, bias_kind="alibi", dropout=config.attention_dropout
    )
    mlp = MLP(width, 4 * width, activation("gelu_pytorch_tanh"))
    add = NormedResidual if config.apply_residual_connection_post_layernorm else Residual
    return Sequential(
        add(attention, before=nn.LayerNorm(width, config.layer_norm_epsilon), dropout=dropout),
        add(mlp, before=nn.LayerNorm(width, config.layer_norm_epsilon), dropout=dropout),
    )


def backbone(config: Any) -> AlibiDecoder:
    """BLOOM's decoder."""
    return AlibiDecoder(
        config,
        (layer(config, number) for number in range(config.n_layer)),
        nn.LayerNorm(config.hidden_size, config.layer_norm_epsilon),
        embedding=nn.Embedding(config.vocab_size, config.hidden_size),
        embedding_norm=nn.LayerNorm(config.hidden_size, config.layer_norm_epsilon),
        slopes=alibi_slopes(config.n_head),
    )


def weights(config: Any) -> WeightMap:
    """Rules; the packed projection holds queries, keys and values of one head after the other."""
    return WeightMap(
        Rename("word_embeddings", "embed_tokens"),
        Rename("word_embeddings_layernorm", "embed_norm"),
        Rename(LAYER + "input_layernorm", ATTENTION + "before"),
        Split(
            LAYER + "self_attention.query_key_value",
            tuple(f"{ATTENTION}branch.{name}_proj" for name in "qkv"),
            heads=config.n_head,
        ),
        Rename(LAYER + "self_attention.dense", ATTENTION + "branch.o_proj"),
        Rename(LAYER + "post_attention_layernorm", FEEDFORWARD + "before"),
        Rename(LAYER + "mlp.dense_h_to_4h", FEEDFORWARD + "branch.fc1"),
        Rename(LAYER + "mlp.dense_4h_to_h", FEEDFORWARD + "branch.fc2"),
        Rename("ln_f", "stack.norm"),
    )


register(
    "bloom",
    Architecture(
        config=BloomConfig,
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
