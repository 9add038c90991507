"""Boolean attention masks, True = attend. None means that nothing is hidden and lets kernels skip the mask.

Shape letters: B batch, Q query positions, K key positions.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InputError
from .attention import causal_mask


def padding(attention_mask: Tensor | None, keys: int | None = None) -> Tensor | None:
    """[B, 1, 1, K] from a mask [B, K] of ones and zeros; None where it hides nothing; [B, Q, K] masks pass as they are.

    Raises:
        InputError: the mask has another length than the input.
    """
    if attention_mask is None:
        return None
    if attention_mask.ndim == 4:
        return attention_mask.bool() if attention_mask.dtype != torch.bool else attention_mask
    if attention_mask.ndim == 3:
        return attention_mask[:, None].bool()
    if keys is not None and attention_mask.shape[-1] != keys:
        raise InputError(
            f"attention_mask has {attention_mask.shape[-1]} positions; input and cache have {keys}. "
            "Give a mask for all of them, those in the cache included."
        )
    mask = attention_mask.bool()
    return None if bool(mask.all()) else mask[:, None, None]


def causal(
    queries: int, keys: int, device: torch.device, pad: Tensor | None = None, window: int | None = None
) -> Tensor | None:
    """[B or 1, 1, Q, K]: causal, within `window` positions where given, and not on padding.

    None where a single query, or a causal kernel without a mask, needs none (Context.causal says which).
    """
    needs_window = window is not None and keys > window
    if pad is None and not needs_window:
        return None
    mask = causal_mask(queries, keys, device, window if needs_window else None)[None, None]
    return mask if pad is None else mask & pad


def window(queries: int, keys: int, device: torch.device, reach: int, pad: Tensor | None = None) -> Tensor | None:
    """[B or 1, 1, Q, K]: both directions, at most `reach` positions away, and not on padding."""
    if reach >= keys:
        return pad
    query = torch.arange(keys - queries, keys, device=device)[:, None]
    near = ((query - torch.arange(keys, device=device)[None]).abs() <= reach)[None, None]
    return near if pad is None else near & pad
