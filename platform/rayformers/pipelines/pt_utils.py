"""Columns of datasets as inputs of pipelines (guide: pipelines on a dataset)."""

from __future__ import annotations

from typing import Any

from torch.utils.data import Dataset


class KeyDataset(Dataset):
    """One column of a dataset."""

    def __init__(self, dataset: Any, key: str) -> None:
        self.dataset, self.key = dataset, key

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, number: int) -> Any:
        return self.dataset[number][self.key]


class KeyPairDataset(Dataset):
    """Two columns of a dataset as text and text_pair."""

    def __init__(self, dataset: Any, key1: str, key2: str) -> None:
        self.dataset, self.key1, self.key2 = dataset, key1, key2

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, number: int) -> Any:
        row = self.dataset[number]
        return {"text": row[self.key1], "text_pair": row[self.key2]}
