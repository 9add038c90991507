"""The ways to generate, and which one a configuration asks for."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from ..errors import ConfigError


class GenerationMode(StrEnum):
    """A way to generate."""

    CONTRASTIVE_SEARCH = "contrastive_search"
    GREEDY_SEARCH = "greedy_search"
    SAMPLE = "sample"
    ASSISTED_GENERATION = "assisted_generation"
    DOLA_GENERATION = "dola_generation"
    BEAM_SEARCH = "beam_search"
    BEAM_SAMPLE = "beam_sample"
    CONSTRAINED_BEAM_SEARCH = "constrained_beam_search"
    GROUP_BEAM_SEARCH = "group_beam_search"


_ONE_BEAM = (GenerationMode.GREEDY_SEARCH, GenerationMode.SAMPLE)


def choose_mode(config: Any, assistant_model: Any = None) -> GenerationMode:
    """The mode that a GenerationConfig, with or without a draft model, asks for.

    Raises:
        ConfigError: two modes are asked for at once.
    """
    mode = _without_helpers(config)
    drafts = (assistant_model, config.prompt_lookup_num_tokens, config.assistant_early_exit)
    if any(draft is not None for draft in drafts):
        if mode not in _ONE_BEAM:
            raise ConfigError(
                f"Assisted generation (assistant_model, prompt_lookup_num_tokens, assistant_early_exit) works with "
                f"greedy search and sampling; the other settings ask for {mode}. Set num_beams=1 and leave "
                "penalty_alpha out."
            )
        mode = GenerationMode.ASSISTED_GENERATION
    if config.dola_layers is not None:
        if mode not in _ONE_BEAM:
            raise ConfigError(
                f"dola_layers works with greedy search and sampling; the other settings ask for {mode}. "
                "Leave dola_layers out, or set num_beams=1 without draft models."
            )
        mode = GenerationMode.DOLA_GENERATION
    return mode


def _without_helpers(config: Any) -> GenerationMode:
    if config.constraints is not None or config.force_words_ids is not None:
        return GenerationMode.CONSTRAINED_BEAM_SEARCH
    if config.num_beams is None or config.num_beams == 1:
        if config.do_sample:
            return GenerationMode.SAMPLE
        contrasts = config.penalty_alpha is not None and config.penalty_alpha > 0
        if contrasts and config.top_k is not None and config.top_k > 1:
            return GenerationMode.CONTRASTIVE_SEARCH
        return GenerationMode.GREEDY_SEARCH
    if config.num_beam_groups is not None and config.num_beam_groups > 1:
        return GenerationMode.GROUP_BEAM_SEARCH
    return GenerationMode.BEAM_SAMPLE if config.do_sample else GenerationMode.BEAM_SEARCH
