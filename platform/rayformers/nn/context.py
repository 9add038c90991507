"""What the layers of one stack share during one forward pass."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor


@dataclass
class Context:
    """Masks, positions, cache and recordings of one forward pass through one stack.

    A model makes it, its backbone fills in masks and positions, and each layer reads it. Shape letters: B batch,
    H heads, Q query positions, K key positions, E width of a head, T positions, D width.
    """

    kernel: str = "sdpa"
    """Name of the attention kernel (see nn.attention.KERNELS)."""
    masks: dict[str, Tensor | None] = field(default_factory=dict)
    """Boolean masks by kind ("full", "sliding"), broadcastable to [B, H, Q, K]; True = attend; None = attend to all."""
    causal: bool = False
    """With a "full" mask of None: attend causally (lets a kernel skip the mask)."""
    biases: dict[str, Tensor] = field(default_factory=dict)
    """Additive position biases by kind (ALiBi, T5), broadcastable to [B, H, Q, K]."""
    rotary: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    """Cosines and sines by kind, each [B or 1, T, E]."""
    cache: Any = None
    """Key-value cache with update(key, value, layer) -> (key, value), or None."""
    shared: dict[str, Tensor] = field(default_factory=dict)
    """What the layers of one architecture share beyond these (DeBERTa's positions)."""
    memory: Tensor | None = None
    """Encoder states [B, K, D] for cross attention."""
    memory_mask: Tensor | None = None
    """Boolean, broadcastable to [B, H, Q, K]; True = attend."""
    record_attentions: bool = False
    record_states: bool = False
    attentions: list[Tensor] = field(default_factory=list)
    cross_attentions: list[Tensor] = field(default_factory=list)
    states: list[Tensor] = field(default_factory=list)
    router_logits: list[Tensor] | None = None
    """Scores [B * T, experts] of each mixture of experts; None where they are not recorded."""

    def fork(self, **changes: Any) -> Context:
        """A context for another stack of the same model: same kernel and recording flags, nothing recorded yet."""
        fresh: dict[str, Any] = {
            "masks": {}, "causal": False, "biases": {}, "rotary": {}, "cache": None, "shared": {},
            "memory": None, "memory_mask": None, "attentions": [], "cross_attentions": [], "states": [],
            "router_logits": None,
        }  # fmt: skip
        return replace(self, **(fresh | changes))

    def recorded(self) -> dict[str, tuple[Tensor, ...] | None]:
        """The recordings as output fields; None where recording was off."""
        return {
            "hidden_states": tuple(self.states) if self.record_states else None,
            "attentions": tuple(self.attentions) if self.record_attentions else None,
        }
