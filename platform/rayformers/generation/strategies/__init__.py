"""Strategies: how tokens are chosen, one file each. A strategy is a function (run: Run) -> output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...registry import Registry

STRATEGIES: Registry[Callable[..., Any]] = Registry("generation mode")
"""By GenerationMode."""

for _mode, _target in {
    "greedy_search": "sample:sample",
    "sample": "sample:sample",
    "beam_search": "beams:beam_search",
    "beam_sample": "beams:beam_search",
    "group_beam_search": "scored_beams:group_beam_search",
    "constrained_beam_search": "scored_beams:constrained_beam_search",
    "assisted_generation": "assisted:assisted",
    "contrastive_search": "contrastive:contrastive",
    "dola_generation": "dola:dola",
}.items():
    STRATEGIES.add(_mode, target=f"{__name__}.{_target}")
