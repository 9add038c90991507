"""Contrastive search (Su et al. 2022, arXiv:2202.06417): likely tokens whose states are unlike those before.

Shape letters: B rows, K candidates, T positions, D width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...errors import ConfigError
from ...models.outputs import ModelOutput
from ..decoder import Growing
from ..run import Run


def contrastive(run: Run) -> Any:
    """Of the top_k likeliest tokens, take the one with the best balance; each step looks one token ahead."""
    config, decoder = run.config, run.decoder
    if not decoder.caches:
        raise ConfigError(
            f"Contrastive search needs a cache; {type(run.model).__name__} keeps none, or use_cache is False."
        )
    if decoder.seen:
        raise ConfigError("Contrastive search starts with an empty cache. Leave past_key_values out.")
    tries, alpha = config.top_k, config.penalty_alpha
    prompt, batch = run.ids, len(run.ids)
    ids = Growing(prompt, config.max_length)
    output = run.forward(prompt, output_hidden_states=True)
    states, logits = _states(output)[-1], output.logits[:, -1].float()
    visible = _visible(run, states.shape[1])
    done = torch.zeros(batch, dtype=torch.bool, device=prompt.device)
    pads = run.pad is not None and any(hasattr(criterion, "eos_token_id") for criterion in run.stopping)
    decoder.repeat_fixed(tries)
    while True:
        scores = run.rules(ids.view, logits)
        run.recorder.add(output, logits, scores)
        probabilities, candidates = scores.softmax(-1).topk(tries, dim=-1)
        decoder.cache.batch_repeat_interleave(tries)
        ahead = run.forward(
            torch.cat((ids.view.repeat_interleave(tries, 0), candidates.reshape(-1, 1)), 1), output_hidden_states=True
        )
        chosen = _balance(states, _states(ahead)[-1], probabilities, visible, alpha)
        rows = torch.arange(batch, device=chosen.device) * tries + chosen
        decoder.cache.batch_select_indices(rows)
        output = _rows(ahead, rows)
        states = torch.cat((states, _states(output)[-1]), 1)
        visible = torch.cat((visible, torch.ones_like(visible[:, :1])), 1)
        logits = output.logits[:, -1].float()
        tokens = candidates.gather(1, chosen[:, None])[:, 0]
        if pads:
            tokens = torch.where(done, run.pad, tokens)  # type: ignore[arg-type]
        ids.append(tokens[:, None])
        if run.streamer is not None:
            run.streamer.put(tokens.cpu())
        done |= run.stopping(ids.view, run.recorder.scores)
        if bool(done.all()):
            break
    if run.streamer is not None:
        run.streamer.end()
    if config.return_dict_in_generate:
        decoder.crop(ids.length - 1)  # the token that was looked at ahead is not part of the text's cache
    return run.result(ids.view)


def _states(output: ModelOutput) -> Any:
    return output.get("decoder_hidden_states") or output.get("hidden_states")


def _visible(run: Run, length: int) -> Tensor:
    """[B, T]: which positions are no padding."""
    mask = run.extra["inputs"].get("decoder_attention_mask" if run.decoder.encoder_decoder else "attention_mask")
    if mask is None:
        return torch.ones(len(run.ids), length, dtype=torch.bool, device=run.ids.device)
    return torch.cat((mask.bool(), mask.new_ones(len(mask), length - mask.shape[1]).bool()), 1)


def _balance(states: Tensor, ahead: Tensor, probabilities: Tensor, visible: Tensor, alpha: float) -> Tensor:
    """The best candidate [B]: probable [B, K], and its state [B * K, 1, D] unlike those before [B, T, D]."""
    before = states / states.norm(dim=2, keepdim=True)
    after = ahead.view(len(states), -1, ahead.shape[-1])
    after = after / after.norm(dim=2, keepdim=True)
    alike = before @ after.transpose(1, 2)  # [B, T, K]
    alike = alike.masked_fill(~visible[..., None], torch.finfo(alike.dtype).min)
    return ((1 - alpha) * probabilities - alpha * alike.amax(1)).argmax(-1)


def _rows(output: ModelOutput, rows: Tensor) -> Any:
    """Some rows of an output, without its cache."""

    def take(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value[rows]
        return tuple(take(item) for item in value) if isinstance(value, tuple) else None

    kept = ("logits", "hidden_states", "attentions", "decoder_hidden_states", "decoder_attentions", "cross_attentions")
    return type(output)(**{name: take(output[name]) for name in kept if name in output})
