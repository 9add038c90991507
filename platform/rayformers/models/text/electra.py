"""ELECTRA (Clark et al. 2020, arXiv:2003.10555): BERT trained to find replaced tokens; narrow embeddings, no pooler.

Hub: google/electra-small-discriminator, google/electra-base-generator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import ConfigError
from ...nn.activations import activation
from ...weights import Rename, WeightMap
from ..config import PretrainedConfig
from ..heads import Head
from ..outputs import ModelOutput, Tensors
from ..registry import Architecture, HeadSpec, register
from ..text_heads import MaskedLM, MultipleChoice, recorded
from .bert import CausalPrediction
from .encoder import FIRST_TOKEN_RULES, TIED, WEIGHTS, Encoder, TextEmbedding, first_token, heads


@dataclass(kw_only=True, init=False, repr=False)
class ElectraConfig(PretrainedConfig):
    """config.json of ELECTRA."""

    model_type: ClassVar[str] = "electra"

    vocab_size: int = 30522
    embedding_size: int = 128
    hidden_size: int = 256
    num_hidden_layers: int = 12
    num_attention_heads: int = 4
    intermediate_size: int = 1024
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    summary_type: str = "first"
    summary_use_proj: bool = True
    summary_activation: str | None = "gelu"
    summary_last_dropout: float = 0.1
    pad_token_id: int | None = 0
    position_embedding_type: str = "absolute"
    classifier_dropout: float | None = None


class Electra(Encoder):
    """A Transformer encoder, or with config.is_decoder a decoder: input_ids [B, T] -> last_hidden_state [B, T, D]."""

    def __init__(self, config: ElectraConfig) -> None:
        width = config.embedding_size
        super().__init__(
            config, pooler=False, embed=partial(TextEmbedding, dim=width),
            project=None if width == config.hidden_size else width,
        )  # fmt: skip


@dataclass
class ElectraForPreTrainingOutput(ModelOutput):
    """logits [B, T]: above zero where a token was replaced."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Tensors = None
    attentions: Tensors = None


class Discriminator(Head):
    """Whether each token was replaced: logits [B, T]."""

    def __init__(self, config: ElectraConfig, backbone: nn.Module) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.prediction = nn.Linear(config.hidden_size, 1)
        self.act = activation(config.hidden_act)

    def forward(
        self, outputs: Any, inputs: Mapping[str, Any], labels: Tensor | None = None
    ) -> ElectraForPreTrainingOutput:
        logits = self.prediction(self.act(self.dense(outputs.last_hidden_state))).squeeze(-1)
        return ElectraForPreTrainingOutput(
            loss=None if labels is None else self._loss(logits, labels, inputs.get("attention_mask")),
            logits=logits,
            **recorded(outputs),
        )

    def _loss(self, logits: Tensor, labels: Tensor, mask: Tensor | None) -> Tensor:
        if mask is not None:
            text = mask.view(-1, logits.shape[1]) == 1
            logits, labels = logits[text], labels[text]
        return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))


class SummaryChoice(MultipleChoice):
    """One score for each choice from a summary of its text, as summary_* of the configuration say."""

    def __init__(self, config: ElectraConfig, backbone: nn.Module) -> None:
        super().__init__(config, backbone, dropout=config.summary_last_dropout)
        if config.summary_type not in ("first", "last", "mean"):
            raise ConfigError(f"summary_type is {config.summary_type!r}; expected 'first', 'last' or 'mean'.")
        self.kind = config.summary_type
        self.act = activation(config.summary_activation) if config.summary_activation else None
        self.dense = nn.Linear(config.hidden_size, config.hidden_size) if config.summary_use_proj else None

    def summary(self, outputs: Any) -> Tensor:
        states = outputs.last_hidden_state
        x = states.mean(dim=1) if self.kind == "mean" else states[:, 0 if self.kind == "first" else -1]
        x = x if self.dense is None else self.dense(x)
        return x if self.act is None else self.act(x)


def generator(build: type[MaskedLM]) -> HeadSpec:
    """The generator's head: to the embedding's width, then to the vocabulary."""
    return HeadSpec(
        build=lambda c, b: build(c, b, act=F.gelu, norm_eps=c.layer_norm_eps, width=c.embedding_size),
        weights=(
            Rename("generator_predictions.dense", "head.dense"),
            Rename("generator_predictions.LayerNorm", "head.norm"),
            Rename("generator_lm_head", "head.lm_head"),
        ),
        tied=TIED,
    )


register(
    "electra",
    Architecture(
        config=ElectraConfig,
        backbone=Electra,
        weights=WeightMap(*WEIGHTS.rules, Rename("embeddings_project", "project")),
        hub_prefix="electra",
        heads=heads(
            ForPreTraining=HeadSpec(
                build=Discriminator,
                weights=(
                    Rename("discriminator_predictions.dense", "head.dense"),
                    Rename("discriminator_predictions.dense_prediction", "head.prediction"),
                ),
            ),
            ForMaskedLM=generator(MaskedLM),
            ForCausalLM=generator(CausalPrediction),
            ForSequenceClassification=HeadSpec(build=first_token("gelu"), weights=FIRST_TOKEN_RULES),
            ForMultipleChoice=HeadSpec(
                build=SummaryChoice,
                weights=(Rename("sequence_summary.summary", "head.dense"), Rename("classifier", "head.classifier")),
            ),
        ),
    ),
)
