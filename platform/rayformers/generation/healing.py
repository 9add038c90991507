"""Token healing: a prompt's last token is taken back and the model may choose a longer one that starts with it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import InputError


def heal_tokens(model: Any, input_ids: Tensor, tokenizer: Any) -> Tensor:
    """Prompts [B, T] whose last token is replaced by the likeliest one that starts with its text.

    Raises:
        InputError: no tokenizer, or one without an end of text or padding token.
    """
    if tokenizer is None:
        raise InputError(
            "token_healing needs the tokenizer: model.generate(..., token_healing=True, tokenizer=tokenizer)."
        )
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    vocabulary = tokenizer.get_vocab()
    healed = input_ids.clone()
    for row, ids in enumerate(input_ids):
        last = tokenizer.convert_ids_to_tokens(int(ids[-1]))
        longer = [number for token, number in vocabulary.items() if token.startswith(last)]
        if len(longer) < 2 or int((ids != pad).sum()) < 2:
            continue
        bias = {(number,): 11.0 if number == int(ids[-1]) else 10.0 for number in longer}  # healing is no aim in itself
        from .configuration import GenerationConfig

        config = GenerationConfig(
            max_new_tokens=1, do_sample=False, sequence_bias=bias, pad_token_id=pad, top_k=None, num_beams=1
        )
        start = ids[None, :-1]
        mask = torch.ones_like(start) if pad is None else (start != pad).long()
        healed[row, -1] = model.generate(start, attention_mask=mask, generation_config=config)[0, -1]
    return healed
