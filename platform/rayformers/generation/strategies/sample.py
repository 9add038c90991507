"""Greedy search and sampling: one token for each row, until all are done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..decoder import Growing
from ..run import Run

Look = Callable[[Any], Tensor]


def last_logits(output: Any) -> Tensor:
    """Scores of the next token in float32 [B, V]."""
    return output.logits[:, -1].float()


def sample(run: Run, look: Look = last_logits, **forward: Any) -> Any:
    """Decode token by token.

    Args:
        look: takes the next token's scores from the model's output.
        forward: for Run.forward.
    """
    ids = Growing(run.ids, run.config.max_length)
    done = torch.zeros(len(run.ids), dtype=torch.bool, device=run.ids.device)
    fixed = run.stopping.only_length
    pads = run.pad is not None and any(hasattr(criterion, "eos_token_id") for criterion in run.stopping)
    while True:
        output = run.forward(ids.view, **forward)
        logits = look(output)
        scores = run.rules(ids.view, logits)
        run.recorder.add(output, last_logits(output) if run.recorder.logits is not None else logits, scores)
        tokens = run.choose(scores)
        if pads:
            tokens = torch.where(done, run.pad, tokens)  # type: ignore[arg-type]
        ids.append(tokens[:, None])
        if run.streamer is not None:
            run.streamer.put(tokens.cpu())
        if fixed:  # the end is known beforehand: nothing to wait for
            if ids.length >= run.stopping.max_length:  # type: ignore[operator]
                break
            continue
        done |= run.stopping(ids.view, run.recorder.scores)
        if bool(done.all()):
            break
    if run.streamer is not None:
        run.streamer.end()
    return run.result(ids.view)
