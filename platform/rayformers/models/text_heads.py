"""Heads of text models. An architecture maps the Hub's names to ours, the attributes below `head.`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InputError
from ..nn.activations import Activation
from . import losses
from .heads import Head
from .outputs import (
    CausalLMOutputWithCrossAttentions,
    MaskedLMOutput,
    ModelOutput,
    MultipleChoiceModelOutput,
    NextSentencePredictorOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    SequenceClassifierOutputWithPast,
    TokenClassifierOutput,
)


def recorded(outputs: Any) -> dict[str, Any]:
    """The states and attentions of a backbone's output as fields of a head's."""
    return {"hidden_states": outputs.hidden_states, "attentions": outputs.attentions}


class CausalLM(Head):
    """lm_head: logits of the next token [B, T, V].

    Args:
        bias: whether lm_head has one.
        scale: factor on the logits (Cohere). softcap: caps them at +-softcap by tanh (Gemma 2).
        width: width of the states; default config.hidden_size.
    """

    inputs: ClassVar[tuple[str, ...]] = ("labels", "logits_to_keep", "num_items_in_batch")
    generates: ClassVar[bool] = True

    def __init__(
        self, config: Any, backbone: nn.Module, *, bias: bool = False, scale: float = 1.0, softcap: float | None = None,
        width: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.scale, self.softcap = scale, softcap
        self.lm_head = nn.Linear(width or config.hidden_size, config.vocab_size, bias)

    def forward(
        self, outputs: Any, inputs: Mapping[str, Any], labels: Tensor | None = None, logits_to_keep: int | Tensor = 0,
        num_items_in_batch: Any = None,
    ) -> ModelOutput:  # fmt: skip
        states = outputs.last_hidden_state
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(states[:, kept] if not isinstance(kept, slice) or kept.start else states)
        logits = logits if self.scale == 1.0 else logits * self.scale
        if self.softcap is not None:
            logits = self.softcap * torch.tanh(logits / self.softcap)
        return CausalLMOutputWithCrossAttentions(
            loss=None if labels is None else losses.causal(logits, labels, num_items=num_items_in_batch),
            logits=logits,
            past_key_values=outputs.get("past_key_values"),
            cross_attentions=outputs.get("cross_attentions"),
            **recorded(outputs),
        )


class MaskedLM(Head):
    """dense, act, norm, lm_head (BERT's prediction head): logits [B, T, V].

    Args:
        act: activation after `dense`.
        norm_eps: of the layer norm.
        width: width after `dense`; default config.hidden_size (ALBERT and ELECTRA project to their embedding width).
        transform: whether there are `dense` and `norm` at all.
    """

    inputs: ClassVar[tuple[str, ...]] = ("labels", "num_items_in_batch")

    def __init__(
        self, config: Any, backbone: nn.Module, *, act: Activation, norm_eps: float, width: int | None = None,
        norm: nn.Module | None = None, dense_bias: bool = True, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        width = width or config.hidden_size
        self.dense = nn.Linear(config.hidden_size, width, dense_bias)
        self.norm = nn.LayerNorm(width, norm_eps) if norm is None else norm
        self.lm_head = nn.Linear(width, config.vocab_size, bias)
        self.act = act

    def forward(
        self, outputs: Any, inputs: Mapping[str, Any], labels: Tensor | None = None, num_items_in_batch: Any = None
    ) -> ModelOutput:
        logits = self.scores(outputs.last_hidden_state)
        loss = None if labels is None else losses.token_cross_entropy(logits, labels, num_items=num_items_in_batch)
        return MaskedLMOutput(loss=loss, logits=logits, **recorded(outputs))

    def scores(self, states: Tensor) -> Tensor:
        """States [..., D] -> logits [..., V]."""
        return self.lm_head(self.norm(self.act(self.dense(states))))


class SequenceClassifier(Head):
    """dropout and classifier on a summary of the text: logits [B, labels].

    Args:
        dense: None: the backbone's pooler gives the summary; else the first token goes through `dense` and this
            activation first (RoBERTa, ELECTRA, DistilBERT).
        dropout: rate.
    """

    def __init__(
        self, config: Any, backbone: nn.Module, *, dropout: float, dense: Activation | None = None,
        dropout_first: bool = False, width: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.config, self.act = config, dense
        width = width or config.hidden_size
        self.dense = None if dense is None else nn.Linear(width, width)
        self.classifier = nn.Linear(width, config.num_labels)
        self.dropout = nn.Dropout(dropout)
        self.dropout_first = dropout_first

    def forward(self, outputs: Any, inputs: Mapping[str, Any], labels: Tensor | None = None) -> ModelOutput:
        logits = self.classifier(self.dropout(self.summary(outputs)))
        loss = None if labels is None else losses.classification(self.config, logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits, **recorded(outputs))

    def summary(self, outputs: Any) -> Tensor:
        """[B, D]."""
        if self.dense is None or self.act is None:
            return outputs.pooler_output
        first = outputs.last_hidden_state[:, 0]
        return self.act(self.dense(self.dropout(first) if self.dropout_first else first))


class LastTokenClassifier(Head):
    """score on the last token that is no padding (decoders): logits [B, labels]."""

    def __init__(self, config: Any, backbone: nn.Module, *, bias: bool = False, width: int | None = None) -> None:
        super().__init__()
        self.config = config
        self.score = nn.Linear(width or config.hidden_size, config.num_labels, bias)

    def forward(self, outputs: Any, inputs: Mapping[str, Any], labels: Tensor | None = None) -> ModelOutput:
        scores = self.score(outputs.last_hidden_state)
        logits = scores[torch.arange(len(scores), device=scores.device), self._last(inputs, scores)]
        return SequenceClassifierOutputWithPast(
            loss=None if labels is None else losses.classification(self.config, logits, labels),
            logits=logits,
            past_key_values=outputs.get("past_key_values"),
            **recorded(outputs),
        )

    def _last(self, inputs: Mapping[str, Any], scores: Tensor) -> Tensor:
        ids, pad = inputs.get("input_ids"), self.config.pad_token_id
        if ids is None or pad is None:
            if len(scores) != 1 and ids is not None:
                raise InputError(
                    f"A batch of {len(scores)} texts needs config.pad_token_id to find each text's last token. Set it."
                )
            return torch.full((len(scores),), scores.shape[1] - 1, device=scores.device)
        positions = torch.arange(ids.shape[1], device=ids.device)
        return ((ids != pad).int() * positions).argmax(-1)


class TokenClassifier(Head):
    """dropout and classifier on every token: logits [B, T, labels]."""

    def __init__(
        self, config: Any, backbone: nn.Module, *, dropout: float, width: int | None = None, bias: bool = True
    ) -> None:
        super().__init__()
        self.config = config
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(width or config.hidden_size, config.num_labels, bias)

    def forward(self, outputs: Any, inputs: Mapping[str, Any], labels: Tensor | None = None) -> ModelOutput:
        logits = self.classifier(self.dropout(outputs.last_hidden_state))
        loss = None if labels is None else losses.token_cross_entropy(logits, labels)
        return TokenClassifierOutput(loss=loss, logits=logits, **recorded(outputs))


class SpanExtractor(Head):
    """qa_outputs: where an answer starts and ends, logits [B, T] each."""

    inputs: ClassVar[tuple[str, ...]] = ("start_positions", "end_positions")

    def __init__(self, config: Any, backbone: nn.Module, *, dropout: float = 0.0, width: int | None = None) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.qa_outputs = nn.Linear(width or config.hidden_size, 2)

    def forward(
        self, outputs: Any, inputs: Mapping[str, Any], start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
    ) -> ModelOutput:  # fmt: skip
        starts, ends = self.qa_outputs(self.dropout(outputs.last_hidden_state)).unbind(-1)
        loss = None
        if start_positions is not None and end_positions is not None:
            loss = losses.spans(starts, ends, start_positions, end_positions)
        return QuestionAnsweringModelOutput(loss=loss, start_logits=starts, end_logits=ends, **recorded(outputs))


class MultipleChoice(Head):
    """One score for each choice: inputs [B, choices, T], logits [B, choices].

    Args:
        dense: as in SequenceClassifier.
    """

    def __init__(
        self, config: Any, backbone: nn.Module, *, dropout: float, dense: Activation | None = None,
        summary: Callable[[Any], Tensor] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.act, self.own_summary = dense, summary
        self.dense = None if dense is None else nn.Linear(config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(config.hidden_size, 1)
        self.choices = 1

    def prepare(self, inputs: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
        main = inputs.get("input_ids") if inputs.get("input_ids") is not None else inputs.get("inputs_embeds")
        if main is None or main.ndim < 3:
            raise InputError("A multiple choice model takes input_ids of shape [batch, choices, positions].")
        self.choices = main.shape[1]
        return {name: value.flatten(0, 1) if isinstance(value, Tensor) else value for name, value in inputs.items()}

    def forward(self, outputs: Any, inputs: Mapping[str, Any], labels: Tensor | None = None) -> ModelOutput:
        logits = self.classifier(self.dropout(self.summary(outputs))).view(-1, self.choices)
        loss = None if labels is None else F.cross_entropy(logits, labels)
        return MultipleChoiceModelOutput(loss=loss, logits=logits, **recorded(outputs))

    def summary(self, outputs: Any) -> Tensor:
        """[B * choices, D]."""
        if self.own_summary is not None:
            return self.own_summary(outputs)
        if self.dense is None or self.act is None:
            return outputs.pooler_output
        return self.act(self.dense(outputs.last_hidden_state[:, 0]))


class NextSentence(Head):
    """seq_relationship on the pooled text: whether the second part follows the first, logits [B, 2]."""

    def __init__(self, config: Any, backbone: nn.Module) -> None:
        super().__init__()
        self.seq_relationship = nn.Linear(config.hidden_size, 2)

    def forward(self, outputs: Any, inputs: Mapping[str, Any], labels: Tensor | None = None) -> ModelOutput:
        logits = self.seq_relationship(outputs.pooler_output)
        loss = None if labels is None else F.cross_entropy(logits.view(-1, 2), labels.view(-1))
        return NextSentencePredictorOutput(loss=loss, logits=logits, **recorded(outputs))
