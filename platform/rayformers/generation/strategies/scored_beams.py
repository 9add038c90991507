"""Beam search through a beam scorer: diverse groups and constraints.

Shape letters: P prompts, N beams of a prompt, G beams of a group, T tokens, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...errors import ConfigError, InputError
from ..beam_scorer import BeamSearchScorer
from ..constrained_scorer import ConstrainedBeamSearchScorer
from ..constraints import constraints_of
from ..decoder import Growing
from ..rules.base import LogitsProcessorList
from ..rules.repetition import HammingDiversityLogitsProcessor
from ..run import Run


def _scorer_options(run: Run) -> dict[str, Any]:
    config = run.config
    return {
        "batch_size": len(run.ids) // config.num_beams, "num_beams": config.num_beams, "device": run.ids.device,
        "length_penalty": config.length_penalty, "do_early_stopping": config.early_stopping,
        "num_beam_hyps_to_keep": config.num_return_sequences, "max_length": config.max_length,
    }  # fmt: skip


class _ScoredSearch:
    """What both searches share: scores, candidates, the paths of beams, the result."""

    def __init__(self, run: Run, scorer: BeamSearchScorer, start: Tensor) -> None:
        if run.config.do_sample:
            raise ConfigError("This search does not sample. Set do_sample=False.")
        self.run, self.scorer = run, scorer
        self.prompts, self.prompt_length = len(run.ids) // scorer.num_beams, run.ids.shape[1]
        self.ids = Growing(run.ids, run.config.max_length)
        self.totals = start.repeat(self.prompts)
        self.special: dict[str, Any] = {
            "pad_token_id": None if run.pad is None else int(run.pad), "eos_token_id": run.ends,
            "decoder_prompt_len": self.prompt_length,
        }  # fmt: skip
        self.candidates = max(2, 1 + (0 if run.ends is None else len(run.ends)))
        self.tracks = run.recorder.scores is not None

    def best(self, scores: Tensor, beams: int) -> tuple[Tensor, Tensor, Tensor]:
        """The best candidates of scores [P * beams, V]: scores, tokens, beams of the prompt, each [P, K]."""
        vocabulary = scores.shape[-1]
        found, places = scores.view(self.prompts, -1).topk(self.candidates * beams, dim=1)
        return found, places % vocabulary, places // vocabulary

    def go_on(self, rows: Tensor, tokens: Tensor) -> bool:
        """Take over rows and their new tokens; whether to go on."""
        self.ids.reorder(rows)
        self.ids.append(tokens[:, None])
        self.run.decoder.reorder(rows)
        return not (self.scorer.is_done or bool(self.run.stopping(self.ids.view, self.run.recorder.scores).all()))

    def result(self, paths: Any) -> Any:
        """The best texts."""
        unused = torch.empty(0, dtype=torch.long)
        final: Any = self.scorer.finalize(
            self.ids.view, self.totals, unused, unused, max_length=self.run.config.max_length, beam_indices=paths,
            **self.special,
        )  # fmt: skip
        if not self.run.config.return_dict_in_generate:
            return final["sequences"]
        return self.run.result(
            final["sequences"], sequences_scores=final["sequence_scores"], beam_indices=final["beam_indices"]
        )


def group_beam_search(run: Run) -> Any:
    """Beams in groups that keep off one another's tokens (Vijayakumar et al. 2016, arXiv:1610.02424)."""
    config = run.config
    scorer = BeamSearchScorer(num_beam_groups=config.num_beam_groups, **_scorer_options(run))
    size, beams = scorer.group_size, config.num_beams
    start = torch.full((beams,), -1e9, device=run.ids.device)
    start[::size] = 0
    search = _ScoredSearch(run, scorer, start)
    rules = LogitsProcessorList(run.rules)
    if config.diversity_penalty:
        rules.append(HammingDiversityLogitsProcessor(config.diversity_penalty, beams, config.num_beam_groups))
    rules = _first_diversity(rules)
    places = torch.arange(len(run.ids), device=run.ids.device).view(-1, config.num_beam_groups, size)
    paths: list[tuple[Any, ...]] = [((),) * (search.prompts * size) for _ in range(config.num_beam_groups)]
    going = True
    while going:
        ids = search.ids.view
        output = run.forward(ids)
        logits = output.logits[:, -1].float()
        recorded = torch.zeros_like(logits)
        tokens, origins = torch.zeros_like(ids[:, 0]), torch.zeros_like(ids[:, 0])
        for group in range(config.num_beam_groups):
            rows = places[:, group].flatten()
            scores = _apply(rules, ids[rows], logits[rows].log_softmax(-1), tokens, group)
            recorded[rows] = scores
            chosen = scorer.process(
                ids[rows], *search.best(scores + search.totals[rows, None], size),
                beam_indices=sum(paths, ()) if search.tracks else None, group_index=group, **search.special,
            )  # fmt: skip
            kept = chosen["next_beam_indices"]
            if search.tracks:
                paths[group] = tuple((*paths[group][row], row) for row in kept.tolist())
            search.totals[rows], tokens[rows] = chosen["next_beam_scores"], chosen["next_beam_tokens"]
            origins[rows] = rows[kept]
        run.recorder.add(output, logits, recorded)
        going = search.go_on(origins, tokens)
    return search.result(sum(paths, ()) if search.tracks else None)


def _first_diversity(rules: LogitsProcessorList) -> LogitsProcessorList:
    """Diversity comes after guidance and biases only: it counts before repetition and lengths are looked at."""
    from ..rules.guidance import UnbatchedClassifierFreeGuidanceLogitsProcessor
    from ..rules.sequences import NoBadWordsLogitsProcessor, SequenceBiasLogitsProcessor

    def early(rule: Any) -> bool:
        biases = isinstance(rule, SequenceBiasLogitsProcessor) and not isinstance(rule, NoBadWordsLogitsProcessor)
        return biases or isinstance(rule, UnbatchedClassifierFreeGuidanceLogitsProcessor)

    diverse = [rule for rule in rules if isinstance(rule, HammingDiversityLogitsProcessor)]
    others = [rule for rule in rules if not isinstance(rule, HammingDiversityLogitsProcessor)]
    before = [rule for rule in others if early(rule)]
    return LogitsProcessorList([*before, *diverse, *(rule for rule in others if not early(rule))])


def _apply(rules: LogitsProcessorList, ids: Tensor, scores: Tensor, tokens: Tensor, group: int) -> Tensor:
    for rule in rules:
        if isinstance(rule, HammingDiversityLogitsProcessor):
            scores = rule(ids, scores, tokens, group)
        else:
            scores = rule(ids, scores)
    return scores


def constrained_beam_search(run: Run) -> Any:
    """Beams whose texts must contain what config.constraints and force_words_ids say."""
    config = run.config
    constraints = constraints_of(config)
    if not constraints:
        raise InputError("constraints is empty; give at least one, or leave it out.")
    scorer = ConstrainedBeamSearchScorer(constraints=constraints, **_scorer_options(run))
    start = torch.full((config.num_beams,), -1e9, device=run.ids.device)
    start[0] = 0
    search = _ScoredSearch(run, scorer, start)
    paths: tuple[Any, ...] = ((),) * len(run.ids)
    going = True
    while going:
        ids = search.ids.view
        output = run.forward(ids)
        logits = output.logits[:, -1].float()
        scores = run.rules(ids, logits.log_softmax(-1)) + search.totals[:, None]
        run.recorder.add(output, logits, scores)
        chosen = scorer.process(
            ids, *search.best(scores, config.num_beams), scores_for_all_vocab=scores,
            beam_indices=paths if search.tracks else None, **search.special,
        )  # fmt: skip
        rows = chosen["next_beam_indices"]
        search.totals = chosen["next_beam_scores"]
        if search.tracks:
            paths = tuple((*paths[row], row) for row in rows.tolist())
        going = search.go_on(rows, chosen["next_beam_tokens"])
    return search.result(paths if search.tracks else None)
