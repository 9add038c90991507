"""What a GenerationConfig may hold: impossible values raise, settings without effect are logged."""

from __future__ import annotations

import logging
import math
from typing import Any

from ..errors import ConfigError
from .parameters import (
    BEAMS_ONLY,
    CACHE_ONLY,
    CALL_ARGUMENTS,
    DEFAULTS,
    DYNAMIC_CACHES,
    EXTRA_OUTPUTS,
    SAMPLING_ONLY,
    STATIC_CACHES,
)

_log = logging.getLogger(__name__)
_reported: set[str] = set()

_AT_LEAST_ONE = ("num_beams", "num_beam_groups", "num_return_sequences", "max_new_tokens", "prefill_chunk_size")
_NOT_NEGATIVE = ("min_length", "min_new_tokens", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "max_time")


def check_config(config: Any, strict: bool) -> None:
    """See GenerationConfig.validate."""
    _values(config)
    _beams(config)
    for name in CALL_ARGUMENTS:
        if hasattr(config, name):
            raise ConfigError(f"{name} is an argument of generate, not of GenerationConfig. Pass it to generate.")
    idle = _without_effect(config)
    if not idle:
        return
    message = f"These generation settings have no effect: {'; '.join(idle)}."
    if strict:
        raise ConfigError(f"{message} Unset them, or turn on what they belong to.")
    if message not in _reported:
        _reported.add(message)
        _log.info(message)


def _values(config: Any) -> None:
    for name in _AT_LEAST_ONE:
        value = getattr(config, name)
        if value is not None and value < 1:
            raise ConfigError(f"{name} is {value!r}; it must be at least 1.")
    for name in _NOT_NEGATIVE:
        value = getattr(config, name)
        if value is not None and value < 0:
            raise ConfigError(f"{name} is {value!r}; it must not be negative.")
    temperature = config.temperature
    if temperature is not None and (math.isnan(temperature) or temperature < 0):
        raise ConfigError(
            f"temperature is {temperature!r}; it must be a positive number. For greedy search, set do_sample=False."
        )
    if config.early_stopping not in (True, False, "never"):
        raise ConfigError(f"early_stopping is {config.early_stopping!r}; it must be True, False or 'never'.")
    if config.cache_implementation not in (None, *DYNAMIC_CACHES, *STATIC_CACHES):
        raise ConfigError(
            f"cache_implementation is {config.cache_implementation!r}; allowed: "
            f"{', '.join((*DYNAMIC_CACHES, *STATIC_CACHES))}."
        )
    if config.watermarking_config is not None:
        config.watermarking_config.validate()
    if config.compile_config is not None and not hasattr(config.compile_config, "fullgraph"):
        raise ConfigError(f"compile_config is a {type(config.compile_config).__name__}; give a CompileConfig.")


def _beams(config: Any) -> None:
    returned, beams = config.num_return_sequences or 1, config.num_beams or 1
    if returned > 1 and beams == 1 and not config.do_sample:
        raise ConfigError(
            f"num_return_sequences is {returned}, but greedy search finds one. Set do_sample=True, "
            f"or num_beams >= {returned}."
        )
    if returned > 1 and 1 < beams < returned:
        raise ConfigError(f"num_return_sequences ({returned}) must not exceed num_beams ({beams}).")
    groups = config.num_beam_groups or 1
    if groups > 1 and (beams % groups or beams < groups):
        raise ConfigError(f"num_beams ({beams}) must be a multiple of num_beam_groups ({groups}).")
    if groups > 1 and config.do_sample:
        raise ConfigError("Groups of beams do not sample. Set do_sample=False or num_beam_groups=1.")
    if config.diversity_penalty is not None and config.diversity_penalty < 0:
        raise ConfigError(f"diversity_penalty is {config.diversity_penalty}; it must not be negative.")
    if config.constraints is not None or config.force_words_ids is not None:
        _constraints(config)


def _constraints(config: Any) -> None:
    if (config.num_beams or 1) == 1:
        raise ConfigError("constraints and force_words_ids need beams. Set num_beams > 1.")
    for name, allowed in (("do_sample", (False, None)), ("num_beam_groups", (1, None))):
        if getattr(config, name) not in allowed:
            raise ConfigError(
                f"constraints and force_words_ids do not work with {name}={getattr(config, name)!r}. Leave it out."
            )


def _without_effect(config: Any) -> list[str]:
    def changed(name: str) -> bool:
        value = getattr(config, name)
        return value is not None and value != DEFAULTS[name]

    idle = []
    if not config.do_sample:
        skipped = {"top_k"} if config.penalty_alpha is not None else set()
        idle += [f"{name} without do_sample=True" for name in SAMPLING_ONLY if changed(name) and name not in skipped]
    if (config.num_beams or 1) == 1:
        idle += [f"{name} without num_beams > 1" for name in BEAMS_ONLY if changed(name)]
    if config.use_cache is False:
        idle += [f"{name} with use_cache=False" for name in CACHE_ONLY if changed(name)]
    if config.return_dict_in_generate is not True:
        idle += [
            f"{name} without return_dict_in_generate=True" for name in EXTRA_OUTPUTS if getattr(config, name) is True
        ]
    return idle
