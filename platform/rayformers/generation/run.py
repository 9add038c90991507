"""One call of generate: everything that a strategy needs, and what it records on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..models.outputs import ModelOutput
from .decoder import Decoder
from .outputs import (
    GenerateBeamDecoderOnlyOutput,
    GenerateBeamEncoderDecoderOutput,
    GenerateDecoderOnlyOutput,
    GenerateEncoderDecoderOutput,
)
from .rules.base import LogitsProcessorList
from .stopping import StoppingCriteriaList


@dataclass
class Recorder:
    """Collects, for each token, what was asked for."""

    scores: list[Tensor] | None = None
    logits: list[Tensor] | None = None
    attentions: list[Any] | None = None
    cross_attentions: list[Any] | None = None
    states: list[Any] | None = None

    @classmethod
    def of(cls, config: Any) -> Recorder:
        """One for the output_* settings; nothing is kept unless return_dict_in_generate."""
        kept = config.return_dict_in_generate

        def wanted(name: str) -> list[Any] | None:
            return [] if kept and getattr(config, name) else None

        return cls(
            wanted("output_scores"), wanted("output_logits"), wanted("output_attentions"), wanted("output_attentions"),
            wanted("output_hidden_states"),
        )  # fmt: skip

    @property
    def flags(self) -> dict[str, bool]:
        """What the model must record."""
        return {"output_attentions": self.attentions is not None, "output_hidden_states": self.states is not None}

    def add(self, output: ModelOutput, logits: Tensor, scores: Tensor) -> None:
        """Keep what was asked for of one step."""
        if self.scores is not None:
            self.scores.append(scores.clone())  # not a view that keeps the logits of a whole prompt alive
        if self.logits is not None:
            self.logits.append(logits.clone())
        self.add_layers(output)

    def add_layers(self, output: ModelOutput) -> None:
        """Keep attentions and states of one step."""
        decoder = "decoder_" if hasattr(output, "decoder_attentions") else ""
        if self.attentions is not None and self.cross_attentions is not None:
            self.attentions.append(output.get(f"{decoder}attentions"))
            self.cross_attentions.append(output.get("cross_attentions"))
        if self.states is not None:
            self.states.append(output.get(f"{decoder}hidden_states"))


@dataclass
class Run:
    """What a strategy works with. ids [B, T] are the prompts, repeated for beams and returned sequences."""

    model: Any
    config: Any
    ids: Tensor
    decoder: Decoder
    rules: LogitsProcessorList
    stopping: StoppingCriteriaList
    recorder: Recorder
    streamer: Any = None
    pad: Tensor | None = None
    ends: Tensor | None = None
    encoder_outputs: Any = None
    batch: int = 1
    """Prompts, before repetition."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Arguments of some modes: assistant_model, tokenizers, the encoder's input."""

    def forward(self, ids: Tensor, **more: Any) -> Any:
        """Run the model on what of ids it has not seen, recording what was asked for."""
        return self.decoder(ids, **{**self.recorder.flags, **more})

    def choose(self, scores: Tensor) -> Tensor:
        """The next token of each row [B] from scores [B, V]: drawn, or the best."""
        if self.config.do_sample:
            return torch.multinomial(scores.softmax(-1), 1)[:, 0]
        return scores.argmax(-1)

    def result(self, sequences: Tensor, **beams: Any) -> Any:
        """The sequences, or with return_dict_in_generate everything that was recorded.

        Args:
            beams: sequences_scores and beam_indices, of strategies with beams.
        """
        if not self.config.return_dict_in_generate:
            return sequences
        kept = self.recorder
        if not self.config.output_scores and "sequences_scores" in beams:
            beams["sequences_scores"] = None
        common = {
            "sequences": sequences, "scores": _tuple(kept.scores), "logits": _tuple(kept.logits),
            "past_key_values": self.decoder.cache, **beams,
        }  # fmt: skip
        attentions, states = _tuple(kept.attentions), _tuple(kept.states)
        if not self.decoder.encoder_decoder:
            only = GenerateBeamDecoderOnlyOutput if beams else GenerateDecoderOnlyOutput
            return only(**common, attentions=attentions, hidden_states=states)
        both = GenerateBeamEncoderDecoderOutput if beams else GenerateEncoderDecoderOutput
        return both(
            **common,
            encoder_attentions=self.encoder_outputs.get("attentions") if self.config.output_attentions else None,
            encoder_hidden_states=self.encoder_outputs.get("hidden_states")
            if self.config.output_hidden_states
            else None,
            decoder_attentions=attentions,
            cross_attentions=_tuple(kept.cross_attentions),
            decoder_hidden_states=states,
        )


def _tuple(items: list[Any] | None) -> tuple[Any, ...] | None:
    return None if items is None else tuple(items)
