"""The collator of batches without padding: all rows in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from ..errors import InputError
from .collators import DefaultDataCollator


class DataCollatorWithFlattening(DefaultDataCollator):
    """Concatenate rows to one row [1, tokens]; attention must tell them apart by positions or lengths.

    Args:
        return_tensors: "pt" or "np".
        return_position_ids: "position_ids", which start at 0 in every row.
        separator_id: the label of every row's first token, so that nothing is predicted across rows.
        return_flash_attn_kwargs: "cu_seq_lens_q/k" (where rows start, and the end) and "max_length_q/k".
        return_seq_idx: "seq_idx", the number of each token's row.
    """

    def __init__(
        self,
        return_tensors: str = "pt",
        *,
        return_position_ids: bool = True,
        separator_id: int = -100,
        return_flash_attn_kwargs: bool = False,
        return_seq_idx: bool = False,
    ) -> None:
        super().__init__(return_tensors)
        self.return_position_ids = return_position_ids
        self.separator_id = separator_id
        self.return_flash_attn_kwargs = return_flash_attn_kwargs
        self.return_seq_idx = return_seq_idx

    def __call__(
        self,
        features: Sequence[Mapping[str, Any]],
        return_tensors: str | None = None,
        separator_id: int | None = None,
    ) -> dict[str, Any]:
        """Rows with "input_ids", and "labels" where they differ from these."""
        kind = return_tensors or self.return_tensors
        if kind not in ("pt", "np"):
            raise InputError(f"return_tensors is {kind!r}; allowed: 'pt', 'np'.")
        separator = self.separator_id if separator_id is None else separator_id
        rows = [np.asarray(row["input_ids"], dtype=np.int64) for row in features]
        labels = [np.array(row.get("labels", row["input_ids"]), dtype=np.int64) for row in features]
        for label in labels:
            label[:1] = separator
        lengths = [len(row) for row in rows]
        batch: dict[str, Any] = {"input_ids": np.concatenate(rows)[None], "labels": np.concatenate(labels)[None]}
        if self.return_position_ids:
            batch["position_ids"] = np.concatenate([np.arange(length) for length in lengths])[None]
        if self.return_seq_idx:
            batch["seq_idx"] = np.repeat(np.arange(len(rows), dtype=np.int32), lengths)[None]
        if self.return_flash_attn_kwargs:
            starts = np.array([0, *accumulate(lengths)], dtype=np.int32)
            batch["cu_seq_lens_q"] = batch["cu_seq_lens_k"] = starts
        if kind == "pt":
            import torch

            batch = {name: torch.from_numpy(value) for name, value in batch.items()}
        if self.return_flash_attn_kwargs:
            batch["max_length_q"] = batch["max_length_k"] = max(lengths)
        return batch
