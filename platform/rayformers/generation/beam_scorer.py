"""Beam scorers: which candidates go on as beams and which end as hypotheses (guide: internal/generation_utils).

Shape letters: P prompts, N beams of a group, K candidates, T tokens.
"""

from __future__ import annotations

from collections import UserDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import ConfigError, InputError
from .rules.base import TokenIds, whole

Path = tuple[Any, ...]


@dataclass(frozen=True)
class Hypothesis:
    """A text that ended, its score, and the beams it came through (None where nobody asked)."""

    score: float
    tokens: Tensor
    path: Path | None


class BeamHypotheses:
    """The best texts of one prompt that ended.

    Args:
        num_beams: how many are kept.
        length_penalty: scores are summed log-probabilities / length ** length_penalty.
        early_stopping: True, False or "never"; see GenerationConfig.
        max_length: of a text, needed for "never".
    """

    def __init__(
        self, num_beams: int, length_penalty: float, early_stopping: bool | str, max_length: int | None = None
    ) -> None:
        if not isinstance(early_stopping, bool) and max_length is None:
            raise ConfigError(f"early_stopping={early_stopping!r} needs max_length. Give it to the beam scorer.")
        self.num_beams, self.length_penalty = num_beams, length_penalty
        self.early_stopping, self.max_length = early_stopping, max_length
        self.beams: list[Hypothesis] = []
        self.worst_score = 1e9

    def __len__(self) -> int:
        return len(self.beams)

    def add(
        self, tokens: Tensor, sum_logprobs: float, beam_indices: Path | None = None, generated_len: int | None = None
    ) -> None:
        """Keep a text if it is among the best."""
        length = tokens.shape[-1] if generated_len is None else generated_len
        score = sum_logprobs / length**self.length_penalty
        if len(self) >= self.num_beams and score <= self.worst_score:
            return
        self.beams.append(Hypothesis(score, tokens, beam_indices))
        if len(self) <= self.num_beams:
            self.worst_score = min(score, self.worst_score)
            return
        ranked = sorted((beam.score, number) for number, beam in enumerate(self.beams))
        del self.beams[ranked[0][1]]
        self.worst_score = ranked[1][0]

    def is_done(self, best_sum_logprobs: float, cur_len: int, decoder_prompt_len: int = 0) -> bool:
        """Whether no running beam can become better than the worst kept text."""
        if len(self) < self.num_beams:
            return False
        if self.early_stopping is True:
            return True
        longest = cur_len
        if self.early_stopping == "never" and self.length_penalty > 0:
            assert self.max_length is not None
            longest = self.max_length
            if longest <= decoder_prompt_len:
                raise ConfigError(f"max_length ({longest}) must exceed the prompt's length ({decoder_prompt_len}).")
        return bool(self.worst_score >= best_sum_logprobs / (longest - decoder_prompt_len) ** self.length_penalty)


class BeamScorer:
    """Base of beam scorers."""

    def process(
        self, input_ids: Tensor, next_scores: Tensor, next_tokens: Tensor, next_indices: Tensor, **more: Any
    ) -> Any:
        """Sort candidates [P, K] into texts that end and beams that go on."""
        raise NotImplementedError

    def finalize(
        self, input_ids: Tensor, next_scores: Tensor, next_tokens: Tensor, next_indices: Tensor, **more: Any
    ) -> Any:
        """The best texts of every prompt."""
        raise NotImplementedError


class BeamSearchScorer(BeamScorer):
    """Beam search, in one group or in several that are kept apart.

    Args:
        batch_size: prompts P.
        num_beams: all beams of a prompt.
        device: of the tensors.
        length_penalty, do_early_stopping, max_length: see BeamHypotheses.
        num_beam_hyps_to_keep: texts that are returned for each prompt.
        num_beam_groups: groups that the beams are divided into.
    """

    def __init__(
        self,
        batch_size: int,
        num_beams: int,
        device: Any,
        length_penalty: float | None = 1.0,
        do_early_stopping: bool | str | None = False,
        num_beam_hyps_to_keep: int | None = 1,
        num_beam_groups: int | None = 1,
        max_length: int | None = None,
    ) -> None:
        groups = num_beam_groups or 1
        whole("num_beams", num_beams, 2)
        if whole("num_beam_groups", groups, 1) > num_beams or num_beams % groups:
            raise ConfigError(f"num_beams ({num_beams}) must be a multiple of num_beam_groups ({groups}).")
        self.num_beams, self.device, self.num_beam_groups = num_beams, device, groups
        self.group_size = num_beams // groups
        self.num_beam_hyps_to_keep = num_beam_hyps_to_keep or 1
        penalty = 1.0 if length_penalty is None else length_penalty
        self._beam_hyps = [
            BeamHypotheses(self.group_size, penalty, do_early_stopping or False, max_length)
            for _ in range(batch_size * groups)
        ]
        self._done = [False] * len(self._beam_hyps)

    @property
    def is_done(self) -> bool:
        """Whether every prompt is."""
        return all(self._done)

    def process(  # type: ignore[override]
        self,
        input_ids: Tensor,
        next_scores: Tensor,
        next_tokens: Tensor,
        next_indices: Tensor,
        pad_token_id: Any = None,
        eos_token_id: TokenIds | None = None,
        beam_indices: Sequence[Path] | None = None,
        group_index: int = 0,
        decoder_prompt_len: int = 0,
    ) -> UserDict[str, Tensor]:
        """Sort candidates into texts that end and beams that go on.

        Args:
            input_ids: the group's beams [P * N, T].
            next_scores, next_tokens, next_indices: candidates [P, K], the best first: summed log-probability, token
                and beam within the prompt's group.
            pad_token_id: what prompts that are done go on with.
            eos_token_id: ends a text.
            beam_indices: the path of every beam so far.
            group_index: which group.
            decoder_prompt_len: tokens that do not count for the length penalty.

        Returns:
            next_beam_scores, next_beam_tokens and next_beam_indices (rows of input_ids), each [P * N].

        Raises:
            InputError: the number of rows is another one, or too many candidates end.
        """
        prompts = len(self._beam_hyps) // self.num_beam_groups
        if prompts != input_ids.shape[0] // self.group_size:
            raise InputError(
                f"There are {input_ids.shape[0]} beams; the scorer expects {prompts} prompts of "
                f"{self.group_size} beams."
            )
        ends = _list(eos_token_id)
        rows: list[list[tuple[float, int, int]]] = []
        candidates = zip(next_scores.tolist(), next_tokens.tolist(), next_indices.tolist(), strict=True)
        for prompt, (scores, tokens, beams) in enumerate(candidates):
            number = prompt * self.num_beam_groups + group_index
            if self._done[number]:
                if not ends or pad_token_id is None:
                    raise InputError("A prompt is done: give eos_token_id and pad_token_id to go on with the others.")
                rows.append([(0.0, int(pad_token_id), 0)] * self.group_size)
                continue
            kept: list[tuple[float, int, int]] = []
            for rank, (score, token, beam) in enumerate(zip(scores, tokens, beams, strict=True)):
                row = prompt * self.group_size + beam
                if token not in ends:
                    kept.append((score, token, row))
                elif rank < self.group_size and self._may_end(input_ids[row]):
                    path = None if beam_indices is None else (*beam_indices[row], row)
                    length = input_ids.shape[-1] + 1 - decoder_prompt_len
                    self._beam_hyps[number].add(input_ids[row].clone(), score, path, length)
                if len(kept) == self.group_size:
                    break
            if len(kept) < self.group_size:
                raise InputError(
                    f"Of {len(tokens)} candidates, {len(tokens) - len(kept)} end the text; {self.group_size} must "
                    "go on. "
                    "Give more candidates: (1 + number of end tokens) x beams."
                )
            rows.append(kept)
            self._done[number] = self._beam_hyps[number].is_done(
                max(scores), input_ids.shape[-1] + 1, decoder_prompt_len
            )
        return _answer(rows, next_scores, next_tokens, next_indices, input_ids.device)

    def _may_end(self, tokens: Tensor) -> bool:
        """Whether a text [T] may end here."""
        return True

    def finalize(  # type: ignore[override]
        self,
        input_ids: Tensor,
        final_beam_scores: Tensor,
        final_beam_tokens: Tensor,
        final_beam_indices: Tensor,
        max_length: int | None,
        pad_token_id: Any = None,
        eos_token_id: TokenIds | None = None,
        beam_indices: Sequence[Path] | None = None,
        decoder_prompt_len: int = 0,
    ) -> UserDict[str, Tensor | None]:
        """The best texts of every prompt.

        Args:
            input_ids: all beams [P * beams, T].
            final_beam_scores: their summed log-probabilities [P * beams].
            max_length: of a text.

        Returns:
            sequences [P * returned, T], sequence_scores, beam_indices.
        """
        scores = final_beam_scores.tolist()
        for number, hypotheses in enumerate(self._beam_hyps):
            if not self._done[number]:
                rows = range(number * self.group_size, (number + 1) * self.group_size)
                self._close(hypotheses, rows, input_ids, scores, beam_indices, decoder_prompt_len)
        best: list[Hypothesis] = []
        groups = self.num_beam_groups
        for first in range(0, len(self._beam_hyps), groups):
            ended = [beam for group in self._beam_hyps[first : first + groups] for beam in group.beams]
            ranked = sorted(ended, key=lambda beam: beam.score)
            best += [ranked.pop() for _ in range(self.num_beam_hyps_to_keep)]
        return _assemble(best, input_ids, max_length, pad_token_id, _list(eos_token_id))

    def _close(
        self, hypotheses: BeamHypotheses, rows: range, ids: Tensor, scores: list[float],
        paths: Sequence[Path] | None, prompt_length: int,
    ) -> None:  # fmt: skip
        """Let the running beams of a prompt end as they are."""
        for row in rows:
            hypotheses.add(ids[row], scores[row], None if paths is None else paths[row], ids.shape[-1] - prompt_length)


def _list(tokens: TokenIds | None) -> list[int]:
    if tokens is None:
        return []
    return [tokens] if isinstance(tokens, int) else torch.as_tensor(tokens).reshape(-1).tolist()


def _answer(
    rows: list[list[tuple[float, int, int]]], scores: Tensor, tokens: Tensor, indices: Tensor, device: torch.device
) -> UserDict[str, Tensor]:
    flat = [entry for row in rows for entry in row]
    columns = zip(*flat, strict=True)
    made = [
        torch.tensor(column, dtype=like.dtype, device=device)
        for column, like in zip(columns, (scores, tokens, indices), strict=True)
    ]
    return UserDict(zip(("next_beam_scores", "next_beam_tokens", "next_beam_indices"), made, strict=True))


def _assemble(
    best: list[Hypothesis], like: Tensor, max_length: int | None, pad: Any, ends: list[int]
) -> UserDict[str, Tensor | None]:
    """Texts of different lengths as one tensor: an end of text after each that has room for it, then padding."""
    lengths = [len(beam.tokens) for beam in best]
    width = max(lengths) + 1 if max_length is None else min(max(lengths) + 1, max_length)
    if min(lengths) != max(lengths) and pad is None:
        raise InputError("The texts differ in length: pad_token_id must be given.")
    sequences = like.new_full((len(best), width), 0 if pad is None else int(pad))
    paths = None if best[0].path is None else like.new_full((len(best), width), -1)
    for row, beam in enumerate(best):
        sequences[row, : len(beam.tokens)] = beam.tokens
        if paths is not None and beam.path is not None:
            paths[row, : len(beam.path)] = torch.tensor([int(beam_row) for beam_row in beam.path])
        if lengths[row] < width and ends:
            sequences[row, lengths[row]] = ends[0]
    scores = torch.tensor([beam.score for beam in best], dtype=torch.float32, device=like.device)
    return UserDict({"sequences": sequences, "sequence_scores": scores, "beam_indices": paths})
