"""Assisted generation: drafts are checked by the model in one pass (Leviathan et al. 2023, arXiv:2211.17192).

Shape letters: T tokens, C candidates, V vocabulary. Texts are [1, T].
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...errors import ConfigError, InputError
from ...models.outputs import ModelOutput
from ..candidates import candidates_of
from ..run import Run


def assisted(run: Run) -> Any:
    """Take as many drafted tokens as the model agrees with, and one of its own after them."""
    config, decoder = run.config, run.decoder
    if len(run.ids) > 1:
        raise InputError(
            f"Assisted generation works on one text; the batch has {len(run.ids)}. Call generate for each."
        )
    if not decoder.caches or any(
        getattr(layer, "is_compileable", False) for layer in getattr(decoder.cache, "layers", ())
    ):
        raise ConfigError("Assisted generation needs a cache that can be cut back: use_cache=True and no static cache.")
    source, ids, first = candidates_of(run), run.ids, True
    while True:
        drafted, guesses = source.get_candidates(ids)
        drafted = drafted.to(ids.device)
        count = drafted.shape[1] - ids.shape[1]
        ends = bool(run.stopping(drafted, None).all())
        output = run.forward(drafted, keep=count + 1)
        logits = output.logits[:, -count - 1 :].float()
        scores = torch.cat(
            [run.rules(drafted[:, : ids.shape[1] + n], logits[:, n])[:, None] for n in range(count + 1)], 1
        )
        if config.do_sample and guesses is not None:
            tokens, matches = _speculate(drafted[:, ids.shape[1] :], guesses.to(ids.device), scores, ends)
        else:
            tokens, matches = _agree(run, drafted[:, ids.shape[1] :], scores, ends)
        before, ids = ids.shape[1], torch.cat((ids, tokens), 1)
        if run.streamer is not None:
            run.streamer.put(tokens[0].cpu())
        decoder.crop(ids.shape[1] - 1)
        source.update(matches, count)
        _record(run, output, logits, scores, matches + 1, before, first)
        first = False
        if bool(run.stopping(ids, run.recorder.scores).all()):
            break
    if run.streamer is not None:
        run.streamer.end()
    return run.result(ids)


def _agree(run: Run, candidates: Tensor, scores: Tensor, ends: bool) -> tuple[Tensor, int]:
    """The model's own tokens [1, N] up to the first that differs from the candidates [1, C]; how many agree."""
    chosen = torch.multinomial(scores[0].softmax(-1), 1).T if run.config.do_sample else scores.argmax(-1)
    matches = int((candidates == chosen[:, :-1]).long().cumprod(1).sum())
    if ends and 0 < matches == candidates.shape[1]:
        matches -= 1  # the text ends with the last candidate: nothing comes after it
    return chosen[:, : matches + 1], matches


def _speculate(candidates: Tensor, guesses: Tensor, scores: Tensor, ends: bool) -> tuple[Tensor, int]:
    """Algorithm 1 of the paper: tokens are distributed as the model's own would be.

    Args:
        candidates: drafted tokens [1, C]. guesses: the draft model's scores [1, C, V].
        scores: the model's [1, C + 1, V].
        ends: whether the text ends with the last candidate.
    """
    count = candidates.shape[1]
    drafted, own = guesses.softmax(-1), scores.softmax(-1)
    ratio = (own[:, :count].gather(2, candidates[..., None]) / drafted.gather(2, candidates[..., None]))[..., 0]
    accepted = torch.rand_like(ratio[0]) <= ratio[0]
    matches = int(accepted.long().cumprod(0).sum())
    if ends and 0 < matches == count:
        return candidates, matches - 1
    rest = own[:, matches]
    if matches < count:
        rest = (rest - drafted[:, matches]).clamp(min=0)
        rest = rest / rest.sum()
    return torch.cat((candidates[:, :matches], torch.multinomial(rest, 1)), 1), matches


def _record(
    run: Run, output: ModelOutput, logits: Tensor, scores: Tensor, added: int, before: int, first: bool
) -> None:
    """One entry for each token that was added, as other strategies give; the prompt belongs to the first."""
    kept = run.recorder
    for number in range(added):
        if kept.scores is not None:
            kept.scores.append(scores[:, number])
        if kept.logits is not None:
            kept.logits.append(logits[:, number])
    prefix = "decoder_" if "decoder_hidden_states" in output else ""
    start = before if first else 1
    ranges = [(0, start), *((start + n, start + n + 1) for n in range(added - 1))]
    for low, high in ranges:
        keys = before + high - start
        if kept.states is not None:
            kept.states.append(tuple(layer[:, low:high] for layer in output[f"{prefix}hidden_states"]))
        if kept.attentions is not None:
            decoder = "decoder_" if "decoder_attentions" in output else ""
            kept.attentions.append(tuple(layer[:, :, low:high, :keys] for layer in output[f"{decoder}attentions"]))
        if kept.cross_attentions is not None and "cross_attentions" in output:
            kept.cross_attentions.append(tuple(layer[:, :, low:high] for layer in output["cross_attentions"]))
