"""RoBERTa (Liu et al. 2019, arXiv:1907.11692): BERT's layers, positions that count text only, heads of its own.

XLM-RoBERTa (arXiv:1911.02116) and CamemBERT (arXiv:1911.03894) differ in vocabulary and training alone.
Hub: FacebookAI/roberta-base, FacebookAI/xlm-roberta-base, almanach/camembert-base.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import nn

from ...weights import Rename
from ..config import PretrainedConfig
from ..registry import Architecture, HeadSpec, register
from ..text_heads import MaskedLM
from .bert import CausalPrediction
from .encoder import FIRST_TOKEN_RULES, TIED, WEIGHTS, Encoder, PaddedPositions, first_token, heads, vocabulary_bias


@dataclass(kw_only=True, init=False, repr=False)
class RobertaConfig(PretrainedConfig):
    """config.json of RoBERTa."""

    model_type: ClassVar[str] = "roberta"

    vocab_size: int = 50265
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
    pad_token_id: int | None = 1
    bos_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 2
    position_embedding_type: str = "absolute"
    classifier_dropout: float | None = None


@dataclass(kw_only=True, init=False, repr=False)
class XLMRobertaConfig(RobertaConfig):
    """config.json of XLM-RoBERTa."""

    model_type: ClassVar[str] = "xlm-roberta"

    vocab_size: int = 30522


@dataclass(kw_only=True, init=False, repr=False)
class CamembertConfig(RobertaConfig):
    """config.json of CamemBERT."""

    model_type: ClassVar[str] = "camembert"

    vocab_size: int = 30522


class Roberta(Encoder):
    """A Transformer encoder, or with config.is_decoder a decoder: input_ids [B, T] -> last_hidden_state [B, T, D]."""

    def __init__(self, config: Any, *, pooler: bool = True) -> None:
        super().__init__(config, pooler=pooler, embed=PaddedPositions)


def masked(config: Any, backbone: nn.Module) -> MaskedLM:
    """The head that fills masks."""
    return MaskedLM(config, backbone, act=F.gelu, norm_eps=config.layer_norm_eps)


def causal(config: Any, backbone: nn.Module) -> MaskedLM:
    """The same head, predicting the next token."""
    return CausalPrediction(config, backbone, act=F.gelu, norm_eps=config.layer_norm_eps)


def predictions(config: Any) -> tuple[Rename, ...]:
    """Name rules of the prediction head."""
    return (
        Rename("lm_head.dense", "head.dense"),
        Rename("lm_head.layer_norm", "head.norm"),
        Rename("lm_head.decoder.weight", "head.lm_head.weight"),
        vocabulary_bias(config, "lm_head.bias", "lm_head.decoder.bias"),
    )


def register_as(config: type[RobertaConfig]) -> None:
    """Register RoBERTa under the model_type of a configuration."""
    register(
        config.model_type,
        Architecture(
            config=config,
            backbone=Roberta,
            weights=WEIGHTS,
            hub_prefix="roberta",
            has_pooler=True,
            optional=("pooler.*",),
            heads=heads(
                ForMaskedLM=HeadSpec(build=masked, weights=predictions, tied=TIED),
                ForCausalLM=HeadSpec(build=causal, weights=predictions, tied=TIED),
                ForSequenceClassification=HeadSpec(build=first_token("tanh"), weights=FIRST_TOKEN_RULES),
            ),
        ),
    )


for _config in (RobertaConfig, XLMRobertaConfig, CamembertConfig):
    register_as(_config)
