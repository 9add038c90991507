"""Keys and values of prompts' beginnings, kept for prompts that begin alike (system prompts, chats that go on).

Shape letters: G key-value heads, T tokens, E width of a head.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor

Layers = list[tuple[Tensor, Tensor]]
"""(keys, values) [1, G, T, E] of each decoder layer."""


class PrefixStore:
    """Blocks of tokens with their keys and values; the least recently used go when the budget is full.

    Args:
        budget_bytes: for all blocks together; 0 keeps nothing.
        block_tokens: prefixes are found in whole blocks.
    """

    def __init__(self, budget_bytes: int, block_tokens: int = 32) -> None:
        self.budget_bytes, self.block_tokens = budget_bytes, block_tokens
        self._blocks: OrderedDict[tuple[int, ...], Layers] = OrderedDict()
        self.used_bytes = 0
        self.hits_tokens = 0

    def known(self, tokens: list[int]) -> int:
        """Tokens of the longest known beginning that leaves at least one to run."""
        stop = 0
        while stop + self.block_tokens < len(tokens) and tuple(tokens[: stop + self.block_tokens]) in self._blocks:
            stop += self.block_tokens
        return stop

    def find(self, tokens: list[int]) -> tuple[int, Layers | None]:
        """(`known` tokens, their keys and values)."""
        known = self.known(tokens)
        if not known:
            return 0, None
        keys = [tuple(tokens[:stop]) for stop in range(self.block_tokens, known + 1, self.block_tokens)]
        for key in keys:
            self._blocks.move_to_end(key)
        found = [self._blocks[key] for key in keys]
        self.hits_tokens += known
        return known, [
            (torch.cat([block[n][0] for block in found], -2), torch.cat([block[n][1] for block in found], -2))
            for n in range(len(found[0]))
        ]

    def keep(self, tokens: list[int], layers: Layers) -> None:
        """Remember the whole blocks of a prompt, whose keys and values hold at least its tokens."""
        if not self.budget_bytes:
            return
        for stop in range(self.block_tokens, len(tokens) + 1, self.block_tokens):
            key = tuple(tokens[:stop])
            if key in self._blocks:
                self._blocks.move_to_end(key)
                continue
            part = slice(stop - self.block_tokens, stop)
            block = [(k[:, :, part].clone(), v[:, :, part].clone()) for k, v in layers]
            self._blocks[key] = block
            self.used_bytes += _bytes(block)
        while self.used_bytes > self.budget_bytes and self._blocks:
            _, dropped = self._blocks.popitem(last=False)
            self.used_bytes -= _bytes(dropped)


def _bytes(block: Layers) -> int:
    return sum(k.nbytes + v.nbytes for k, v in block)
