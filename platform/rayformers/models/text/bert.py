"""BERT (Devlin et al. 2018, arXiv:1810.04805): a post-norm Transformer encoder, also usable as a decoder.

Hub: google-bert/bert-base-uncased, google-bert/bert-large-cased, dslim/bert-base-NER.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from ...nn.activations import activation
from ...weights import Rename
from .. import losses
from ..config import PretrainedConfig
from ..outputs import CausalLMOutputWithCrossAttentions, ModelOutput, Tensors
from ..registry import Architecture, HeadSpec, register
from ..text_heads import MaskedLM, NextSentence, recorded
from .encoder import TIED, WEIGHTS, Encoder, heads, vocabulary_bias


@dataclass(kw_only=True, init=False, repr=False)
class BertConfig(PretrainedConfig):
    """config.json of BERT."""

    model_type: ClassVar[str] = "bert"

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int | None = 0
    position_embedding_type: str = "absolute"
    classifier_dropout: float | None = None


@dataclass
class BertForPreTrainingOutput(ModelOutput):
    """prediction_logits [B, T, V]; seq_relationship_logits [B, 2]."""

    loss: Tensor | None = None
    prediction_logits: Tensor | None = None
    seq_relationship_logits: Tensor | None = None
    hidden_states: Tensors = None
    attentions: Tensors = None


class PreTraining(MaskedLM):
    """Both of BERT's objectives: masked tokens, and whether the second sentence follows the first."""

    inputs = ("labels", "next_sentence_label")

    def __init__(self, config: Any, backbone: nn.Module, **options: Any) -> None:
        super().__init__(config, backbone, **options)
        self.seq_relationship = nn.Linear(config.hidden_size, 2)

    def forward(  # type: ignore[override]
        self, outputs: Any, inputs: Mapping[str, Any], labels: Tensor | None = None,
        next_sentence_label: Tensor | None = None,
    ) -> BertForPreTrainingOutput:  # fmt: skip
        logits, follows = self.scores(outputs.last_hidden_state), self.seq_relationship(outputs.pooler_output)
        loss = None
        if labels is not None and next_sentence_label is not None:
            loss = losses.token_cross_entropy(logits, labels) + F.cross_entropy(follows, next_sentence_label.view(-1))
        return BertForPreTrainingOutput(
            loss=loss, prediction_logits=logits, seq_relationship_logits=follows, **recorded(outputs)
        )


class CausalPrediction(MaskedLM):
    """The prediction head of a masked language model on a decoder: logits of the next token [B, T, V]."""

    inputs = ("labels", "logits_to_keep", "num_items_in_batch")
    generates = True

    def prepare(self, inputs: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
        return {**inputs, "use_cache": False} if own.get("labels") is not None else inputs

    def forward(  # type: ignore[override]
        self, outputs: Any, inputs: Mapping[str, Any], labels: Tensor | None = None, logits_to_keep: int | Tensor = 0,
        num_items_in_batch: Any = None,
    ) -> ModelOutput:  # fmt: skip
        kept = slice(-logits_to_keep or None, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.scores(outputs.last_hidden_state[:, kept])
        return CausalLMOutputWithCrossAttentions(
            loss=None if labels is None else losses.causal(logits, labels, num_items=num_items_in_batch),
            logits=logits,
            past_key_values=outputs.get("past_key_values"),
            cross_attentions=outputs.get("cross_attentions"),
            **recorded(outputs),
        )


def prediction_options(config: Any) -> dict[str, Any]:
    """The activation and norm of the prediction head."""
    return {"act": activation(config.hidden_act), "norm_eps": config.layer_norm_eps}


def predictions(config: Any) -> tuple[Rename, ...]:
    """Name rules of the prediction head."""
    return (
        Rename("cls.predictions.transform.dense", "head.dense"),
        Rename("cls.predictions.transform.LayerNorm", "head.norm"),
        Rename("cls.predictions.decoder.weight", "head.lm_head.weight"),
        vocabulary_bias(config, "cls.predictions.bias", "cls.predictions.decoder.bias"),
    )


RELATIONSHIP = (Rename("cls.seq_relationship", "head.seq_relationship"),)

register(
    "bert",
    Architecture(
        config=BertConfig,
        backbone=Encoder,
        weights=WEIGHTS,
        hub_prefix="bert",
        has_pooler=True,
        optional=("pooler.*",),
        heads=heads(
            ForPreTraining=HeadSpec(
                build=lambda c, b: PreTraining(c, b, **prediction_options(c)),
                weights=lambda c: (*predictions(c), *RELATIONSHIP), pooler=True, tied=TIED,
            ),
            ForMaskedLM=HeadSpec(
                build=lambda c, b: MaskedLM(c, b, **prediction_options(c)), weights=predictions, tied=TIED
            ),
            LMHeadModel=HeadSpec(
                build=lambda c, b: CausalPrediction(c, b, **prediction_options(c)), weights=predictions, tied=TIED
            ),
            ForNextSentencePrediction=HeadSpec(build=NextSentence, weights=RELATIONSHIP, pooler=True),
        ),
    ),
)  # fmt: skip
