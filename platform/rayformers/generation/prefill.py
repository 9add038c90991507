"""Prompts of continuous batching on their way into the running batch.

Shape letters: N prompts, G key-value heads, T tokens, E width of a head, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..nn.cache import DynamicCache
from .prefix_store import Layers, PrefixStore
from .request import Request


class Prefill:
    """Prompts that run together, chunk by chunk, before they join.

    Attributes:
        logits: scores of the next token [N, V] once all is run.
    """

    def __init__(self, model: Any, requests: list[Request], prefixes: PrefixStore, positions: bool) -> None:
        self.model, self.requests = model, requests
        self.logits: Tensor | None = None
        self.cache = DynamicCache()
        self.seen = 0
        if len(requests) == 1:
            self.seen, known = prefixes.find(requests[0].prompt)
            for number, (keys, values) in enumerate(known or []):
                self.cache.update(keys, values, number)
        width, device = max(len(r.prompt) for r in requests), model.device
        self.width = width
        self.ids = torch.tensor([[0] * (width - len(r.prompt)) + r.prompt for r in requests], device=device)
        self.mask: Tensor | None = None
        if any(len(r.prompt) != width for r in requests):
            self.mask = torch.tensor(
                [[0] * (width - len(r.prompt)) + [1] * len(r.prompt) for r in requests], device=device
            )
        self.positions = positions and self.mask is not None

    def advance(self, tokens: int, keeps_logits: bool) -> int:
        """Run at most `tokens` tokens; gives how many."""
        columns = max(1, min(tokens // len(self.requests), self.width - self.seen))
        stop = self.seen + columns
        inputs: dict[str, Any] = {"past_key_values": self.cache, "use_cache": True}
        if self.mask is not None:
            inputs["attention_mask"] = self.mask[:, :stop]
            if self.positions:
                places = (self.mask.cumsum(-1) - 1).masked_fill(self.mask == 0, 1)
                inputs["position_ids"] = places[:, self.seen : stop]
        if keeps_logits:
            inputs["logits_to_keep"] = 1
        output = self.model(input_ids=self.ids[:, self.seen : stop], return_dict=True, **inputs)
        self.seen = stop
        if stop == self.width:
            self.logits = output.logits[:, -1].float()
        return columns * len(self.requests)

    def layers(self, row: int) -> Layers:
        """Keys and values of one prompt [1, G, T, E]."""
        return [(k[row : row + 1], v[row : row + 1]) for k, v in self.cache]


def without_padding(layers: Layers, length: int) -> Layers:
    """The last `length` positions: what belongs to the row without its padding."""
    return [(k[:, :, k.shape[2] - length :], v[:, :, v.shape[2] - length :]) for k, v in layers]
