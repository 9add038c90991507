"""Attention masks as numbers that are added to scores: 0 where a query attends, the dtype's lowest number elsewhere.

The models take boolean masks (see `masks`); these are the guides' helpers for code that adds masks itself.
Shape letters: B batch, Q query positions, K key positions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import ConfigError, InputError
from .attention import causal_mask


def additive(attend: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where `attend`, the lowest number of `dtype` elsewhere."""
    zeros = torch.zeros(attend.shape, dtype=dtype, device=attend.device)
    return zeros.masked_fill(~attend, torch.finfo(dtype).min)


class AttentionMaskConverter:
    """Makes additive masks [B, 1, Q, K].

    Args:
        is_causal: hide what comes after each query.
        sliding_window: hide what lies more than so many positions before a query.

    Raises:
        ConfigError: the window is not positive.
    """

    def __init__(self, is_causal: bool, sliding_window: int | None = None) -> None:
        if sliding_window is not None and sliding_window <= 0:
            raise ConfigError(f"sliding_window is {sliding_window}; it counts positions and must be at least 1.")
        self.is_causal = is_causal
        self.sliding_window = sliding_window

    def _attend(self, queries: int, keys: int, device: torch.device | str) -> Tensor | None:
        if queries == 1 and self.sliding_window is None:
            return None
        window = None if self.sliding_window is None else self.sliding_window + 1
        return causal_mask(queries, keys, torch.device(device), window)

    def to_causal_4d(
        self,
        batch_size: int,
        query_length: int,
        key_value_length: int,
        dtype: torch.dtype,
        device: torch.device | str = "cpu",
    ) -> Tensor | None:
        """The causal mask alone; None where a single query may see everything.

        Raises:
            ConfigError: this converter is not causal.
        """
        if not self.is_causal:
            raise ConfigError(
                "to_causal_4d was asked of a converter with is_causal=False; make it with is_causal=True."
            )
        attend = self._attend(query_length, key_value_length, device)
        return None if attend is None else additive(attend, dtype).expand(batch_size, 1, -1, -1)

    def to_4d(
        self, attention_mask_2d: Tensor, query_length: int, dtype: torch.dtype, key_value_length: int | None = None
    ) -> Tensor:
        """The mask [B, K] of ones and zeros (1 = attend), with the causal one where this converter is causal.

        Raises:
            ConfigError: a causal mask without `key_value_length`, or a window without a causal mask.
        """
        attend = attention_mask_2d[:, None, None, :].bool().expand(-1, 1, query_length, -1)
        if self.is_causal and (query_length > 1 or self.sliding_window is not None):
            if key_value_length is None:
                raise ConfigError("A causal mask needs key_value_length: the positions in the cache and in the input.")
            causal = self._attend(query_length, key_value_length, attention_mask_2d.device)
            attend = attend if causal is None else attend & causal
        elif self.sliding_window is not None:
            raise ConfigError("sliding_window works with is_causal=True only.")
        return additive(attend, dtype)


def prepare_4d_causal_attention_mask(
    attention_mask: Tensor | None,
    input_shape: Sequence[int],
    inputs_embeds: Tensor,
    past_key_values_length: int,
    sliding_window: int | None = None,
) -> Tensor | None:
    """The additive causal mask [B, 1, Q, K] for inputs of shape (B, Q) after a cache.

    Args:
        attention_mask: None, [B, K] or [B, 1, Q, K], 1 = attend.
        input_shape: (B, Q).
        inputs_embeds: gives the dtype and the device.
        past_key_values_length: positions in the cache.
        sliding_window: positions before a query that it sees.

    Raises:
        InputError: a four-dimensional mask has another shape.
    """
    batch, queries = input_shape[0], input_shape[-1]
    keys = queries + past_key_values_length
    dtype, device = inputs_embeds.dtype, inputs_embeds.device
    if attention_mask is None:
        return AttentionMaskConverter(True, sliding_window).to_causal_4d(batch, queries, keys, dtype, device)
    if attention_mask.ndim == 4:
        if tuple(attention_mask.shape) != (batch, 1, queries, keys):
            raise InputError(
                f"attention_mask has the shape {tuple(attention_mask.shape)}; expected {(batch, 1, queries, keys)}."
            )
        return additive(attention_mask.bool(), dtype)
    return AttentionMaskConverter(True, sliding_window).to_4d(attention_mask, queries, dtype, keys)


def prepare_4d_causal_attention_mask_for_sdpa(
    attention_mask: Tensor | None,
    input_shape: Sequence[int],
    inputs_embeds: Tensor,
    past_key_values_length: int,
    sliding_window: int | None = None,
) -> Tensor | None:
    """As `prepare_4d_causal_attention_mask`; None where the kernel's own causal flag says the same."""
    queries = input_shape[-1]
    keys = queries + past_key_values_length
    plain = attention_mask is None or (attention_mask.ndim == 2 and bool((attention_mask == 1).all()))
    if plain and queries in (1, keys) and (sliding_window is None or keys < sliding_window):
        return None
    if attention_mask is not None and attention_mask.ndim == 4:
        return attention_mask
    return prepare_4d_causal_attention_mask(
        attention_mask, input_shape, inputs_embeds, past_key_values_length, sliding_window
    )


def prepare_4d_attention_mask(mask: Tensor, dtype: torch.dtype, tgt_len: int | None = None) -> Tensor:
    """[B, 1, Q, K] from [B, K]; Q is `tgt_len`, else K."""
    queries = mask.shape[-1] if tgt_len is None else tgt_len
    return AttentionMaskConverter(is_causal=False).to_4d(mask, queries, dtype)


def prepare_4d_attention_mask_for_sdpa(mask: Tensor, dtype: torch.dtype, tgt_len: int | None = None) -> Tensor | None:
    """As `prepare_4d_attention_mask`; None where nothing is hidden."""
    return None if bool((mask == 1).all()) else prepare_4d_attention_mask(mask, dtype, tgt_len)


def create_4d_causal_attention_mask(
    input_shape: Sequence[int],
    dtype: torch.dtype,
    device: torch.device | str,
    past_key_values_length: int = 0,
    sliding_window: int | None = None,
) -> Tensor | None:
    """The causal mask of inputs of shape (B, Q) without padding."""
    keys = input_shape[-1] + past_key_values_length
    converter = AttentionMaskConverter(is_causal=True, sliding_window=sliding_window)
    return converter.to_causal_4d(input_shape[0], input_shape[-1], keys, dtype, device)


# The names that code written for the guides imports.
_prepare_4d_causal_attention_mask = prepare_4d_causal_attention_mask
_prepare_4d_causal_attention_mask_for_sdpa = prepare_4d_causal_attention_mask_for_sdpa
_prepare_4d_attention_mask = prepare_4d_attention_mask
_prepare_4d_attention_mask_for_sdpa = prepare_4d_attention_mask_for_sdpa
_create_4d_causal_attention_mask = create_4d_causal_attention_mask
