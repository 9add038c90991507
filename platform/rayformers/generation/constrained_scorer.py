"""The beam scorer of constrained search: beams are sorted into banks by how far they have come with the constraints
(Hu et al. 2019, "Improved Lexically Constrained Decoding", doi:10.18653/v1/N19-1090).

Shape letters: P prompts, N beams, T tokens, V vocabulary.
"""

from __future__ import annotations

from collections import UserDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .beam_scorer import BeamHypotheses, BeamSearchScorer, Path
from .constraints import Constraint, ConstraintListState


class ConstrainedBeamSearchScorer(BeamSearchScorer):
    """Beam search whose texts must fulfil constraints.

    Args:
        constraints: what a text must contain. The rest as in BeamSearchScorer.
    """

    def __init__(
        self, batch_size: int, num_beams: int, constraints: list[Constraint], device: Any, **options: Any
    ) -> None:
        super().__init__(batch_size, num_beams, device, **options)
        self.constraints = constraints
        self._fulfilled = False

    def _state(self, tokens: list[int]) -> ConstraintListState:
        state = ConstraintListState([constraint.copy() for constraint in self.constraints])
        state.reset(tokens)
        return state

    def make_constraint_states(self, n: int) -> list[ConstraintListState]:
        """n fresh states."""
        return [ConstraintListState([constraint.copy() for constraint in self.constraints]) for _ in range(n)]

    def check_completes_constraints(self, sequence: list[int]) -> bool:
        """Whether a text fulfils all constraints."""
        return self._state(sequence).completed

    def _may_end(self, tokens: Tensor) -> bool:
        return self.check_completes_constraints(tokens.tolist())

    def process(  # type: ignore[override]
        self, input_ids: Tensor, next_scores: Tensor, next_tokens: Tensor, next_indices: Tensor,
        scores_for_all_vocab: Tensor, **more: Any,
    ) -> UserDict[str, Tensor]:  # fmt: skip
        """As BeamSearchScorer.process; candidates that advance a constraint are added.

        Args:
            scores_for_all_vocab: summed log-probabilities of every token after every beam [P * N, V].
        """
        done = list(self._done)
        answer = super().process(input_ids, next_scores, next_tokens, next_indices, **more)
        names = ("next_beam_scores", "next_beam_tokens", "next_beam_indices")
        for prompt, finished in enumerate(done):
            if finished:
                continue
            rows = slice(prompt * self.group_size, (prompt + 1) * self.group_size)
            chosen = self.step_sentence_constraint(
                prompt, input_ids, scores_for_all_vocab, *(answer[name][rows] for name in names)
            )
            for name, values in zip(names, chosen, strict=True):
                answer[name][rows] = values
        return answer

    def step_sentence_constraint(
        self, prompt: int, input_ids: Tensor, vocab_scores: Tensor, scores: Tensor, tokens: Tensor, rows: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The next beams of one prompt: the best of every bank in turn, the fullest bank first.

        Args:
            input_ids, vocab_scores: of all beams [P * N, T], [P * N, V].
            scores, tokens, rows: the beams that would go on without constraints [N].
        """
        first = prompt * len(rows)
        extended = torch.cat((input_ids[rows], tokens[:, None]), -1).tolist()
        states = [self._state(sequence) for sequence in extended]
        known = {tuple(sequence) for sequence in extended}
        added: list[tuple[int, int]] = []
        for row in range(first, first + len(rows)):
            so_far = input_ids[row].tolist()
            state = self._state(so_far)
            if state.completed:
                continue
            for token in state.advance() or []:
                forward = state.copy(stateful=True)
                forward.add(token)
                if (*so_far, token) not in known:
                    known.add((*so_far, token))
                    added.append((row, token))
                    states.append(forward)
        if not added:
            return scores, tokens, rows
        new_rows, new_tokens = (torch.tensor(column, device=rows.device) for column in zip(*added, strict=True))
        rows, tokens = torch.cat((rows, new_rows)), torch.cat((tokens, new_tokens))
        scores = torch.cat((scores, vocab_scores[new_rows, new_tokens]))
        banks = torch.tensor([state.get_bank() for state in states], device=scores.device)
        order = (banks * 100 + scores).sort(descending=True).indices  # by bank, within a bank by score
        kept = order[_in_turn(banks[order].tolist(), scores.device)][: len(extended)]
        return scores[kept], tokens[kept], rows[kept]

    def _close(
        self, hypotheses: BeamHypotheses, rows: range, ids: Tensor, scores: list[float],
        paths: Sequence[Path] | None, prompt_length: int,
    ) -> None:  # fmt: skip
        length = ids.shape[-1] - prompt_length
        fulfilling = [row for row in rows if self.check_completes_constraints(ids[row].tolist())]
        for row in fulfilling:
            hypotheses.add(ids[row], scores[row], None if paths is None else paths[row], length)
        if len(fulfilling) < self.num_beam_hyps_to_keep:  # better a text without its constraints than none
            for row in rows:
                if row not in fulfilling:
                    hypotheses.add(ids[row], scores[row], None, length)


def _in_turn(banks: list[int], device: torch.device) -> Tensor:
    """The order that takes the best of every bank, then the second best, ... given the banks of sorted candidates."""
    ranks: list[int] = []
    for number, bank in enumerate(banks):
        ranks.append(ranks[-1] + 1 if number and bank == banks[number - 1] else 0)
    return torch.tensor(sorted(range(len(banks)), key=lambda place: ranks[place]), device=device)
