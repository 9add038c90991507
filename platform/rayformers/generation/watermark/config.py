"""Settings of watermarks; each builds its logits rule."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from ...errors import ConfigError
from ...weights.stream import write_json


class BaseWatermarkingConfig:
    """What the settings of watermarks share."""

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **overrides: Any) -> Self:
        """Build from plain values; unknown ones are errors."""
        values = {**config_dict, **overrides}
        allowed = {entry.name for entry in fields(cls)}  # type: ignore[arg-type]
        if unknown := sorted(set(values) - allowed):
            raise ConfigError(f"{cls.__name__} has no {unknown}; allowed: {sorted(allowed)}.")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """The settings by name."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]

    def to_json_string(self) -> str:
        """The settings as JSON."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    def to_json_file(self, json_file_path: str | Path) -> None:
        """Write the settings."""
        write_json(Path(json_file_path), self.to_dict())

    def update(self, **values: Any) -> None:
        """Change settings that exist."""
        for name, value in values.items():
            if hasattr(self, name):
                setattr(self, name, value)

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        yield from self.to_dict().items()

    def validate(self) -> None:
        """Check the settings; ConfigError where one is impossible."""
        raise NotImplementedError

    def construct_processor(self, vocab_size: int, device: Any) -> Any:
        """The logits rule."""
        raise NotImplementedError


@dataclass
class WatermarkingConfig(BaseWatermarkingConfig):
    """A green list of tokens whose scores are raised (Kirchenbauer et al. 2023, arXiv:2306.04634).

    Args:
        greenlist_ratio: share of the vocabulary that is green.
        bias: added to green tokens' scores.
        hashing_key: secret.
        seeding_scheme: "lefthash" (the list depends on the tokens before) or "selfhash" (on the token itself too).
        context_width: how many tokens before count.
    """

    greenlist_ratio: float = 0.25
    bias: float = 2.0
    hashing_key: int = 15485863
    seeding_scheme: str = "lefthash"
    context_width: int = 1

    def validate(self) -> None:
        if self.seeding_scheme not in ("lefthash", "selfhash"):
            raise ConfigError(f"seeding_scheme is {self.seeding_scheme!r}; allowed: lefthash, selfhash.")
        if not 0.0 <= self.greenlist_ratio <= 1.0:
            raise ConfigError(f"greenlist_ratio is {self.greenlist_ratio}; expected a number between 0 and 1.")
        if self.context_width < 1:
            raise ConfigError(f"context_width is {self.context_width}; expected a whole number >= 1.")

    def construct_processor(self, vocab_size: int, device: Any) -> Any:
        from .green_list import WatermarkLogitsProcessor

        return WatermarkLogitsProcessor(vocab_size=vocab_size, device=device, **self.to_dict())


@dataclass
class SynthIDTextWatermarkingConfig(BaseWatermarkingConfig):
    """A tournament between tokens, decided by keys (Dathathri et al. 2024, doi:10.1038/s41586-024-08025-4).

    Args:
        ngram_len: tokens that are hashed together.
        keys: one for each layer of the tournament.
        context_history_size: how many contexts are remembered (a repeated one is not watermarked).
        sampling_table_seed, sampling_table_size: the table of random bits.
        skip_first_ngram_calls: leave the first ngram_len - 1 tokens unmarked.
        debug_mode: start from uniform scores.
    """

    ngram_len: int
    keys: list[int] = field(default_factory=list)
    context_history_size: int = 1024
    sampling_table_seed: int = 0
    sampling_table_size: int = 2**16
    skip_first_ngram_calls: bool = False
    debug_mode: bool = False

    def validate(self) -> None:
        if self.sampling_table_size > 2**24:
            raise ConfigError(f"sampling_table_size is {self.sampling_table_size}; expected at most {2**24}.")
        if self.ngram_len < 2 or not self.keys:
            raise ConfigError("A SynthID watermark needs ngram_len >= 2 and at least one key.")

    def construct_processor(self, vocab_size: int, device: Any) -> Any:
        from .synthid import SynthIDTextWatermarkLogitsProcessor

        return SynthIDTextWatermarkLogitsProcessor(device=device, **self.to_dict())
