"""ALBERT (Lan et al. 2019, arXiv:1909.11942): BERT whose layers share parameters, with narrow embeddings.

Hub: albert/albert-base-v2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from ...nn.activations import activation
from ...nn.stacks import Stack
from ...weights import Rename, WeightMap
from .. import losses
from ..config import PretrainedConfig
from ..outputs import ModelOutput, Tensors
from ..registry import Architecture, HeadSpec, register
from ..text_heads import MaskedLM, recorded
from .encoder import EMBEDDINGS, TIED, Encoder, TextEmbedding, heads, layer, vocabulary_bias


@dataclass(kw_only=True, init=False, repr=False)
class AlbertConfig(PretrainedConfig):
    """config.json of ALBERT."""

    model_type: ClassVar[str] = "albert"

    vocab_size: int = 30000
    embedding_size: int = 128
    hidden_size: int = 4096
    num_hidden_layers: int = 12
    num_hidden_groups: int = 1
    num_attention_heads: int = 64
    intermediate_size: int = 16384
    inner_group_num: int = 1
    hidden_act: str = "gelu_new"
    hidden_dropout_prob: float = 0.0
    attention_probs_dropout_prob: float = 0.0
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    classifier_dropout_prob: float = 0.1
    position_embedding_type: str = "absolute"
    pad_token_id: int | None = 0
    bos_token_id: int | None = 2
    eos_token_id: int | list[int] | None = 3


class SharedStack(Stack):
    """Groups of layers, each group running several times in a row."""

    def __init__(self, config: AlbertConfig) -> None:
        def group() -> nn.ModuleList:
            return nn.ModuleList(layer(config, n, mlp_dropout=False) for n in range(config.inner_group_num))

        super().__init__(group() for _ in range(config.num_hidden_groups))
        repeats = config.num_hidden_layers / config.num_hidden_groups
        self.order = tuple(int(number / repeats) for number in range(config.num_hidden_layers))

    def sequence(self) -> Iterable[nn.Module]:
        return [inner for number in self.order for inner in self.layers[number]]  # type: ignore[attr-defined]


class Albert(Encoder):
    """A Transformer encoder: input_ids [B, T] -> last_hidden_state [B, T, D], pooler_output [B, D]."""

    def __init__(self, config: AlbertConfig, *, pooler: bool = True) -> None:
        width = config.embedding_size
        embed = partial(TextEmbedding, dim=width)
        super().__init__(config, pooler=pooler, embed=embed, stack=SharedStack(config), project=width)


@dataclass
class AlbertForPreTrainingOutput(ModelOutput):
    """prediction_logits [B, T, V]; sop_logits [B, 2]: whether the two segments were swapped."""

    loss: Tensor | None = None
    prediction_logits: Tensor | None = None
    sop_logits: Tensor | None = None
    hidden_states: Tensors = None
    attentions: Tensors = None


class PreTraining(MaskedLM):
    """Both of ALBERT's objectives: masked tokens and the order of two segments."""

    inputs = ("labels", "sentence_order_label")

    def __init__(self, config: Any, backbone: nn.Module, **options: Any) -> None:
        super().__init__(config, backbone, **options)
        self.dropout = nn.Dropout(config.classifier_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)

    def forward(  # type: ignore[override]
        self, outputs: Any, inputs: Mapping[str, Any], labels: Tensor | None = None,
        sentence_order_label: Tensor | None = None,
    ) -> AlbertForPreTrainingOutput:  # fmt: skip
        logits = self.scores(outputs.last_hidden_state)
        order = self.classifier(self.dropout(outputs.pooler_output))
        loss = None
        if labels is not None and sentence_order_label is not None:
            loss = losses.token_cross_entropy(logits, labels) + F.cross_entropy(order, sentence_order_label.view(-1))
        return AlbertForPreTrainingOutput(loss=loss, prediction_logits=logits, sop_logits=order, **recorded(outputs))


def prediction_options(config: AlbertConfig) -> dict[str, Any]:
    """The parts of the prediction head."""
    return {"act": activation(config.hidden_act), "norm_eps": config.layer_norm_eps, "width": config.embedding_size}


LAYER, OURS = "encoder.albert_layer_groups.{g}.albert_layers.{i}.", "stack.layers.{g}.{i}."
WEIGHTS = WeightMap(
    *EMBEDDINGS,
    Rename("encoder.embedding_hidden_mapping_in", "project"),
    Rename(LAYER + "attention.query", OURS + "attn.branch.q_proj"),
    Rename(LAYER + "attention.key", OURS + "attn.branch.k_proj"),
    Rename(LAYER + "attention.value", OURS + "attn.branch.v_proj"),
    Rename(LAYER + "attention.dense", OURS + "attn.branch.o_proj"),
    Rename(LAYER + "attention.LayerNorm", OURS + "attn.after"),
    Rename(LAYER + "ffn", OURS + "mlp.branch.fc1"),
    Rename(LAYER + "ffn_output", OURS + "mlp.branch.fc2"),
    Rename(LAYER + "full_layer_layer_norm", OURS + "mlp.after"),
    Rename("pooler", "pooler.dense"),
)


def predictions(config: AlbertConfig) -> tuple[Rename, ...]:
    """Name rules of the prediction head."""
    return (
        Rename("predictions.dense", "head.dense"),
        Rename("predictions.LayerNorm", "head.norm"),
        Rename("predictions.decoder.weight", "head.lm_head.weight"),
        vocabulary_bias(config, "predictions.bias", "predictions.decoder.bias"),
    )


register(
    "albert",
    Architecture(
        config=AlbertConfig,
        backbone=Albert,
        weights=WEIGHTS,
        hub_prefix="albert",
        has_pooler=True,
        optional=("pooler.*",),
        heads=heads(
            ForPreTraining=HeadSpec(
                build=lambda c, b: PreTraining(c, b, **prediction_options(c)),
                weights=lambda c: (*predictions(c), Rename("sop_classifier.classifier", "head.classifier")),
                pooler=True, tied=TIED,
            ),
            ForMaskedLM=HeadSpec(
                build=lambda c, b: MaskedLM(c, b, **prediction_options(c)), weights=predictions, tied=TIED
            ),
        ),
    ),
)  # fmt: skip
