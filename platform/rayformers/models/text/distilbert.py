"""DistilBERT (Sanh et al. 2019, arXiv:1910.01108): BERT with half of the layers, no segments and no pooler.

Hub: distilbert/distilbert-base-uncased, distilbert/distilbert-base-uncased-finetuned-sst-2-english.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import ConfigError
from ...nn.activations import activation
from ...nn.attention import Attention
from ...nn.context import Context
from ...nn.feedforward import MLP
from ...nn.positions import sinusoids
from ...nn.residual import Residual, Sequential
from ...nn.stacks import Stack
from ...weights import Rename, WeightMap
from ..config import PretrainedConfig
from ..outputs import BaseModelOutputWithPoolingAndCrossAttentions
from ..registry import Architecture, HeadSpec, register
from ..text_heads import MaskedLM, MultipleChoice, SequenceClassifier, SpanExtractor, TokenClassifier
from .encoder import EMBEDDINGS, TIED, Encoder, TextEmbedding

NORM_EPS = 1e-12


@dataclass(kw_only=True, init=False, repr=False)
class DistilBertConfig(PretrainedConfig):
    """config.json of DistilBERT."""

    model_type: ClassVar[str] = "distilbert"
    attribute_map: ClassVar[dict[str, str]] = {
        "hidden_size": "dim", "num_attention_heads": "n_heads", "num_hidden_layers": "n_layers",
    }  # fmt: skip

    vocab_size: int = 30522
    max_position_embeddings: int = 512
    sinusoidal_pos_embds: bool = False
    n_layers: int = 6
    n_heads: int = 12
    dim: int = 768
    hidden_dim: int = 3072
    dropout: float = 0.1
    attention_dropout: float = 0.1
    activation: str = "gelu"
    initializer_range: float = 0.02
    qa_dropout: float = 0.1
    seq_classif_dropout: float = 0.2
    pad_token_id: int | None = 0


class Sinusoids(nn.Embedding):
    """Positions that are sines and cosines when fresh and are not trained."""

    def reset(self) -> None:
        self.weight.data.copy_(sinusoids(*self.weight.shape, interleaved=True))
        self.weight.requires_grad_(False)


class Embedding(TextEmbedding):
    """Tokens and positions."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config, segments=False, dropout=config.dropout, norm_eps=NORM_EPS)
        if config.sinusoidal_pos_embds:
            self.position = Sinusoids(config.max_position_embeddings, config.dim)


def layer(config: DistilBertConfig, number: int) -> Sequential:
    """One post-norm layer; attention has no dropout of its output."""
    if config.dim % config.n_heads:
        raise ConfigError(f"dim {config.dim} is no multiple of n_heads {config.n_heads}.")
    attention = Attention(config.dim, config.n_heads, layer=number, dropout=config.attention_dropout)
    mlp = MLP(config.dim, config.hidden_dim, activation(config.activation))
    return Sequential(
        Residual(attention, after=nn.LayerNorm(config.dim, NORM_EPS)),
        Residual(mlp, after=nn.LayerNorm(config.dim, NORM_EPS), dropout=config.dropout),
    )


class DistilBert(Encoder):
    """A Transformer encoder: input_ids [B, T] -> last_hidden_state [B, T, D]."""

    def __init__(self, config: DistilBertConfig) -> None:
        stack = Stack(layer(config, number) for number in range(config.n_layers))
        super().__init__(config, pooler=False, embed=Embedding, stack=stack)

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
        *,
        context: Context,
    ) -> BaseModelOutputWithPoolingAndCrossAttentions:
        """Encode; attention_mask [B, T] has ones for text and zeros for padding."""
        return super().forward(input_ids, attention_mask, None, position_ids, inputs_embeds, context=context)


LAYER, OURS = "transformer.layer.{i}.", "stack.layers.{i}."
WEIGHTS = WeightMap(
    *EMBEDDINGS,
    Rename(LAYER + "attention.q_lin", OURS + "attn.branch.q_proj"),
    Rename(LAYER + "attention.k_lin", OURS + "attn.branch.k_proj"),
    Rename(LAYER + "attention.v_lin", OURS + "attn.branch.v_proj"),
    Rename(LAYER + "attention.out_lin", OURS + "attn.branch.o_proj"),
    Rename(LAYER + "sa_layer_norm", OURS + "attn.after"),
    Rename(LAYER + "ffn.lin1", OURS + "mlp.branch.fc1"),
    Rename(LAYER + "ffn.lin2", OURS + "mlp.branch.fc2"),
    Rename(LAYER + "output_layer_norm", OURS + "mlp.after"),
)


@torch.no_grad()
def initialise(module: nn.Module, config: Any) -> bool:
    """Sinusoidal positions are computed, everything else is drawn."""
    if isinstance(module, Sinusoids):
        module.reset()
        return True
    return False


FIRST = (Rename("pre_classifier", "head.dense"), Rename("classifier", "head.classifier"))

register(
    "distilbert",
    Architecture(
        config=DistilBertConfig,
        backbone=DistilBert,
        weights=WEIGHTS,
        hub_prefix="distilbert",
        initialise=initialise,
        heads={
            "ForMaskedLM": HeadSpec(
                build=lambda c, b: MaskedLM(c, b, act=activation(c.activation), norm_eps=NORM_EPS),
                weights=(
                    Rename("vocab_transform", "head.dense"),
                    Rename("vocab_layer_norm", "head.norm"),
                    Rename("vocab_projector", "head.lm_head"),
                ),
                tied=TIED,
            ),
            "ForSequenceClassification": HeadSpec(
                build=lambda c, b: SequenceClassifier(c, b, dropout=c.seq_classif_dropout, dense=F.relu), weights=FIRST
            ),
            "ForMultipleChoice": HeadSpec(
                build=lambda c, b: MultipleChoice(c, b, dropout=c.seq_classif_dropout, dense=F.relu), weights=FIRST
            ),
            "ForTokenClassification": HeadSpec(
                build=lambda c, b: TokenClassifier(c, b, dropout=c.dropout),
                weights=(Rename("classifier", "head.classifier"),),
            ),
            "ForQuestionAnswering": HeadSpec(
                build=lambda c, b: SpanExtractor(c, b, dropout=c.qa_dropout),
                weights=(Rename("qa_outputs", "head.qa_outputs"),),
            ),
        },
    ),
)
