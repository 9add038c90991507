"""GenerationMixin: the methods of generation for a class of one's own."""

from __future__ import annotations

from typing import Any

from . import generate as entry
from .scores import compute_transition_scores


class GenerationMixin:
    """Gives a model `generate` and `compute_transition_scores`; models of the package have them already.

    The class has `config`, `device`, `main_input_name`, `input_names()`, `can_generate()` and a forward that gives
    `.logits` and takes past_key_values where it keeps a cache.
    """

    def generate(self, inputs: Any = None, **options: Any) -> Any:
        """See rayformers.generation.generate."""
        return entry.generate(self, inputs, **options)

    def compute_transition_scores(self, *args: Any, **options: Any) -> Any:
        """See rayformers.generation.scores."""
        return compute_transition_scores(self, *args, **options)
