"""Beam search and beam sampling, vectorised over prompts and beams.

Shape letters: P prompts, N beams, K candidates, T tokens, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...errors import ConfigError
from ..run import Run

_NEVER = -1.0e9
"""Log-probability of what must not be chosen; finite, so that sums stay numbers."""


def take(tensor: Tensor, places: Tensor) -> Tensor:
    """tensor [P, M, ...] at places [P, N] -> [P, N, ...]."""
    return torch.take_along_dim(tensor, places.view(*places.shape, *[1] * (tensor.ndim - 2)), dim=1)


@dataclass
class Beams:
    """Sequences [P, N, T], their summed log-probabilities [P, N], and which row each token came from [P, N, T]."""

    sequences: Tensor
    scores: Tensor
    origins: Tensor

    def take(self, places: Tensor, scores: Tensor | None = None) -> Beams:
        """Those at places [P, N], with other scores where given."""
        kept = self.scores if scores is None else scores
        return Beams(take(self.sequences, places), take(kept, places), take(self.origins, places))

    def join(self, other: Beams) -> Beams:
        """Both, along the beams."""
        return Beams(
            torch.cat((self.sequences, other.sequences), 1),
            torch.cat((self.scores, other.scores), 1),
            torch.cat((self.origins, other.origins), 1),
        )


class Search:
    """The state of one beam search."""

    def __init__(self, run: Run) -> None:
        config, ids = run.config, run.ids
        self.run, self.beams, self.length = run, config.num_beams, ids.shape[1]
        self.prompts, self.prompt_length = len(ids) // self.beams, ids.shape[1]
        self.max_length, self.penalty, self.early = config.max_length, config.length_penalty, config.early_stopping
        ends = 0 if run.ends is None else len(run.ends)
        self.candidates = max(2, 1 + ends) * self.beams
        shape, device = (self.prompts, self.beams), ids.device
        fill = (0 if run.pad is None else int(run.pad)) or (-1 if run.ends is None else int(run.ends[0]))
        sequences = torch.full((*shape, self.max_length), fill, device=device)
        sequences[..., : self.length] = ids.view(*shape, -1)
        origins = torch.full((*shape, self.max_length - self.length), -1, dtype=torch.int32, device=device)
        first = torch.full(shape, _NEVER, device=device)
        first[:, 0] = 0  # the beams of a prompt start alike: only one counts
        self.running = Beams(sequences, first, origins)
        self.finished = Beams(sequences.clone(), torch.full(shape, _NEVER, device=device), origins.clone())
        self.is_finished = torch.zeros(shape, dtype=torch.bool, device=device)
        self.may_improve = torch.ones(self.prompts, 1, dtype=torch.bool, device=device)
        self.offsets = torch.arange(self.prompts, device=device)[:, None] * self.beams

    def step(self) -> bool:
        """Extend every beam by a token; whether to go on."""
        run = self.run
        flat = self.running.sequences[..., : self.length].flatten(0, 1)
        output = run.forward(flat)
        logits = output.logits[:, -1].float()
        scores = run.rules(flat, logits.log_softmax(-1))
        run.recorder.add(output, logits, scores)
        extended = self._extend(scores)
        stops = run.stopping(extended.sequences[..., : self.length + 1].flatten(0, 1), run.recorder.scores)
        stops = stops.view(self.prompts, -1)
        alive = extended.scores + stops.float() * _NEVER
        self.running = extended.take(alive.topk(self.beams).indices, alive)
        self._finish(extended, stops)
        run.decoder.reorder(self.running.origins[..., self.length - self.prompt_length].flatten())
        self.length += 1
        self._judge()
        full = self.is_finished.all() & (self.early is True)
        return bool(self.may_improve.any() & ~full & ~stops.all())

    def _extend(self, scores: Tensor) -> Beams:
        """The best continuations of a prompt's beams (or, sampling, drawn ones): K for each prompt."""
        vocabulary = scores.shape[-1]
        total = (scores.view(self.prompts, self.beams, -1) + self.running.scores[..., None]).flatten(1)
        if self.run.config.do_sample:
            places = torch.multinomial(total.softmax(-1), self.candidates)
            best = total.gather(1, places)
        else:
            best, places = total.topk(self.candidates)
        beams = places // vocabulary
        extended = self.running.take(beams)
        extended.scores = best
        extended.sequences[..., self.length] = places % vocabulary
        extended.origins[..., self.length - self.prompt_length] = (beams + self.offsets).int()
        return extended

    def _finish(self, extended: Beams, stops: Tensor) -> None:
        """Let candidates that just ended take the place of worse finished ones. Only the best N may end."""
        ended = stops & (torch.arange(self.candidates, device=stops.device) < self.beams)
        scores = extended.scores / (self.length + 1 - self.prompt_length) ** self.penalty
        if self.early is True:
            scores = scores + self.is_finished.all(-1, keepdim=True).float() * _NEVER
        scores = scores + (~self.may_improve).float() * _NEVER + (~ended).float() * _NEVER
        merged = self.finished.join(Beams(extended.sequences, scores, extended.origins))
        places = merged.scores.topk(self.beams).indices
        self.finished = merged.take(places)
        self.is_finished = take(torch.cat((self.is_finished, ended), 1), places)

    def _judge(self) -> None:
        """Whether a running beam can still beat the worst finished one."""
        longest = self.max_length if self.early == "never" and self.penalty > 0 else self.length
        best = self.running.scores[:, :1] / (longest - self.prompt_length) ** self.penalty
        worst = torch.where(self.is_finished, self.finished.scores.amin(1, keepdim=True), _NEVER)
        self.may_improve = self.may_improve & (best > worst).any(-1, keepdim=True)


def beam_search(run: Run) -> Any:
    """Search with config.num_beams beams; with do_sample, candidates are drawn."""
    if run.streamer is not None:
        raise ConfigError("A streamer cannot follow beams, whose text changes until the end. Set num_beams=1.")
    search = Search(run)
    while search.step():
        pass
    returned = run.config.num_return_sequences
    best = search.finished
    origins = best.origins[:, :returned].flatten(0, 1)
    length = int((origins >= 0).sum(1).max())
    sequences = best.sequences[:, :returned].flatten(0, 1)[:, : search.prompt_length + length]
    return run.result(sequences, sequences_scores=best.scores[:, :returned].flatten(), beam_indices=origins[:, :length])
