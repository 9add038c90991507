"""Heads of encoder-decoders. Our names below `head.` are given in each class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..errors import InputError
from . import losses
from .heads import Head
from .outputs import (
    CausalLMOutputWithCrossAttentions,
    ModelOutput,
    Seq2SeqLMOutput,
    Seq2SeqQuestionAnsweringModelOutput,
    Seq2SeqSequenceClassifierOutput,
)
from .text_heads import CausalLM

_RECORDED = (
    "past_key_values",
    "decoder_hidden_states",
    "decoder_attentions",
    "cross_attentions",
    "encoder_last_hidden_state",
    "encoder_hidden_states",
    "encoder_attentions",
)


def _recorded(outputs: Any) -> dict[str, Any]:
    return {name: outputs.get(name) for name in _RECORDED}


def _nothing_to_decode(inputs: Mapping[str, Any]) -> bool:
    return inputs.get("decoder_input_ids") is None and inputs.get("decoder_inputs_embeds") is None


class Bare(Head):
    """No head at all, for classes that are a part of a backbone (T5EncoderModel)."""

    inputs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: Any, backbone: nn.Module) -> None:
        super().__init__()

    def forward(self, outputs: Any, inputs: Mapping[str, Any]) -> ModelOutput:
        return outputs


class Seq2SeqLM(Head):
    """lm_head on the decoder's states: logits [B, T, V].

    Args:
        rows: size of the vocabulary; default config.vocab_size.
        scale: factor on the states before lm_head (T5).
        logits_bias: whether there is a buffer final_logits_bias [1, V] (BART).
        caches_labels: whether a call with labels keeps a cache as any other (T5).
    """

    inputs: ClassVar[tuple[str, ...]] = ("labels", "num_items_in_batch")
    generates: ClassVar[bool] = True
    final_logits_bias: Tensor | None

    def __init__(
        self, config: Any, backbone: nn.Module, *, rows: int | None = None, scale: float = 1.0,
        logits_bias: bool = False, caches_labels: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.config, self.scale, self.caches_labels = config, scale, caches_labels
        self.shift: Callable[[Any, Tensor], Tensor] = backbone.shift  # type: ignore[assignment]
        self.lm_head = nn.Linear(config.hidden_size, rows or config.vocab_size, bias=False)
        self.register_buffer("final_logits_bias", None)
        if logits_bias:
            self.register_buffer("final_logits_bias", torch.zeros(1, rows or config.vocab_size))

    def reset_parameters(self) -> None:
        """Start without a bias on the logits."""
        if self.final_logits_bias is not None:
            self.final_logits_bias.zero_()

    def prepare(self, inputs: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
        labels = own.get("labels")
        if labels is None:
            return inputs
        if not self.caches_labels:
            inputs = {**inputs, "use_cache": False}
        return (
            {**inputs, "decoder_input_ids": self.shift(self.config, labels)} if _nothing_to_decode(inputs) else inputs
        )

    def forward(
        self, outputs: Any, inputs: Mapping[str, Any], labels: Tensor | None = None, num_items_in_batch: Any = None
    ) -> ModelOutput:
        states = outputs.last_hidden_state
        logits = self.lm_head(states if self.scale == 1.0 else states * self.scale)
        if self.final_logits_bias is not None:
            logits = logits + self.final_logits_bias
        loss = None if labels is None else losses.token_cross_entropy(logits, labels, num_items=num_items_in_batch)
        return Seq2SeqLMOutput(loss=loss, logits=logits, **_recorded(outputs))


class Seq2SeqSequenceClassifier(Head):
    """dense, tanh and out_proj on the decoder's state at the last end-of-text token: logits [B, labels].

    Where the decoder is given nothing, it reads the source shifted by one position.
    """

    def __init__(self, config: Any, backbone: nn.Module, *, dropout: float) -> None:
        super().__init__()
        self.config = config
        self.shift: Callable[[Any, Tensor], Tensor] = backbone.shift  # type: ignore[assignment]
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.out_proj = nn.Linear(config.hidden_size, config.num_labels)

    def prepare(self, inputs: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
        if inputs.get("input_ids") is None:
            raise InputError("This classifier finds the end of each text in input_ids [batch, positions]; give them.")
        if own.get("labels") is not None:
            inputs = {**inputs, "use_cache": False}
        return _shifted(self.shift, self.config, inputs)

    def forward(self, outputs: Any, inputs: Mapping[str, Any], labels: Tensor | None = None) -> ModelOutput:
        states = outputs.last_hidden_state
        x = states[torch.arange(len(states), device=states.device), self._ends(inputs["input_ids"], states)]
        logits = self.out_proj(self.dropout(torch.tanh(self.dense(self.dropout(x)))))
        loss = None if labels is None else losses.classification(self.config, logits, labels)
        return Seq2SeqSequenceClassifierOutput(loss=loss, logits=logits, **_recorded(outputs))

    def _ends(self, ids: Tensor, states: Tensor) -> Tensor:
        """Position [B] of the last end-of-text token of each row."""
        if states.shape[1] != ids.shape[1]:
            raise InputError(
                f"The decoder has {states.shape[1]} positions, input_ids {ids.shape[1]}; this classifier needs as many."
            )
        found = ids == self.config.eos_token_id
        if not bool(found.any(1).all()):
            raise InputError(
                f"A text lacks the end-of-text token {self.config.eos_token_id}, whose state is classified. "
                "Tokenize with add_special_tokens=True, and with room for it where texts are truncated."
            )
        return (found * torch.arange(1, ids.shape[1] + 1, device=ids.device)).argmax(1).to(states.device)


class Seq2SeqSpanExtractor(Head):
    """qa_outputs on the decoder's states: where an answer starts and ends, logits [B, T] each.

    Where the decoder is given nothing, it reads the source shifted by one position.
    """

    inputs: ClassVar[tuple[str, ...]] = ("start_positions", "end_positions")

    def __init__(self, config: Any, backbone: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.shift: Callable[[Any, Tensor], Tensor] = backbone.shift  # type: ignore[assignment]
        self.qa_outputs = nn.Linear(config.hidden_size, 2)

    def prepare(self, inputs: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
        if own.get("start_positions") is not None and own.get("end_positions") is not None:
            inputs = {**inputs, "use_cache": False}
        return _shifted(self.shift, self.config, inputs)

    def forward(
        self, outputs: Any, inputs: Mapping[str, Any], start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
    ) -> ModelOutput:  # fmt: skip
        starts, ends = self.qa_outputs(outputs.last_hidden_state).unbind(-1)
        loss = None
        if start_positions is not None and end_positions is not None:
            loss = losses.spans(starts, ends, start_positions, end_positions)
        return Seq2SeqQuestionAnsweringModelOutput(
            loss=loss, start_logits=starts, end_logits=ends, **_recorded(outputs)
        )


class AlignedLM(CausalLM):
    """A decoder's lm_head whose labels [B, T] are the next tokens already: nothing is shifted (BartForCausalLM)."""

    def forward(
        self, outputs: Any, inputs: Mapping[str, Any], labels: Tensor | None = None, logits_to_keep: int | Tensor = 0,
        num_items_in_batch: Any = None,
    ) -> ModelOutput:  # fmt: skip
        output = super().forward(outputs, inputs, logits_to_keep=logits_to_keep)
        if labels is None:
            return output
        loss = losses.token_cross_entropy(output["logits"], labels, num_items=num_items_in_batch)
        return CausalLMOutputWithCrossAttentions(loss=loss, **dict(output))


def _shifted(shift: Callable[[Any, Tensor], Tensor], config: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    if _nothing_to_decode(inputs) and inputs.get("input_ids") is not None:
        return {**inputs, "decoder_input_ids": shift(config, inputs["input_ids"])}
    return inputs
