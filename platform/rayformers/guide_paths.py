"""The sub-module paths that guides import from, answered by the modules where things really live.

`from rayformers.trainer_utils import get_last_checkpoint` works although there is no such file: a finder at the end of
`sys.meta_path` makes a module whose names come, when first asked for, from the places in the table. Real modules are
found first, so the table can never hide one.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

PACKAGE = __name__.rpartition(".")[0]

GUIDE_PATHS: dict[str, tuple[str, ...]] = {
    "activations": ("nn.activations",),
    "audio_utils": ("processing.audio_utils",),
    "cache_utils": ("nn.cache", "nn.cache_layers", "nn.cache_offload", "nn.cache_quantized"),
    "configuration_utils": ("models.config",),
    "data.data_collator": (
        "data.collators",
        "data.collators_text",
        "data.collators_masking",
        "data.collators_permutation",
        "data.collators_packed",
    ),
    "debug_utils": ("training.numeric_watch",),
    "hf_argparser": ("training.argument_parser",),
    "image_processing_utils": ("processing.image",),
    "image_transforms": ("processing.image_transforms", "processing.image_layout"),
    "image_utils": ("processing.image_layout", "processing.image_io"),
    "modeling_attn_mask_utils": ("nn.additive_masks",),
    "modeling_outputs": ("models.outputs",),
    "modeling_utils": ("models.base", "models.loading"),
    "optimization": ("training.optimizers", "training.schedulers"),
    "pytorch_utils": ("nn.pytorch_utils",),
    "time_series_utils": ("nn.distributions",),
    "tokenization_utils_base": (
        "processing.tokenizer_base",
        "processing.batch_encoding",
        "processing.encode_options",
        "processing.padding",
        "processing.special_tokens",
    ),
    "trainer": ("training.trainer",),
    "trainer_pt_utils": ("training.trainer_pt_utils", "training.samplers", "training.nested"),
    "trainer_utils": ("training.trainer_utils", "training.metrics", "training.trainer", "training.randomness"),
    "training_args": ("training.arguments",),
    "utils": (
        "enums",
        "docstrings",
        "lazy_module",
        "processing.encode_options",
        "processing.batch_encoding",
    ),
}
"""Path below the package -> modules below the package that are asked in turn."""


class _GuideModule(ModuleType):
    """A module that looks its names up elsewhere."""

    _places: tuple[str, ...] = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        for place in self._places:
            found = importlib.import_module(f"{PACKAGE}.{place}")
            if hasattr(found, name):
                value = getattr(found, name)
                setattr(self, name, value)
                return value
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        modules = [importlib.import_module(f"{PACKAGE}.{place}") for place in self._places]
        own = {name for module in modules for name in vars(module) if _is_own(module, name)}
        return sorted({*super().__dir__(), *own})


def _is_own(module: ModuleType, name: str) -> bool:
    value = vars(module)[name]
    return not name.startswith("__") and getattr(value, "__module__", module.__name__) == module.__name__


class GuidePathFinder:
    """Finds the modules of GUIDE_PATHS; also their loader."""

    @classmethod
    def find_spec(cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> Any:
        """The spec of a path in the table, None for all others."""
        if name.startswith(f"{PACKAGE}.") and name.removeprefix(f"{PACKAGE}.") in GUIDE_PATHS:
            return ModuleSpec(name, cls, origin="guide path")  # type: ignore[arg-type]
        return None

    @classmethod
    def create_module(cls, spec: ModuleSpec) -> ModuleType:
        """An empty module that knows its places."""
        module = _GuideModule(spec.name, f"The guides' path; see {PACKAGE}.guide_paths.")
        module._places = GUIDE_PATHS[spec.name.removeprefix(f"{PACKAGE}.")]
        return module

    @classmethod
    def exec_module(cls, module: ModuleType) -> None:
        """Nothing to run: names are looked up when asked for."""


def install() -> None:
    """Let the import system ask the table, after all else."""
    if GuidePathFinder not in sys.meta_path:
        sys.meta_path.append(GuidePathFinder)  # type: ignore[arg-type]
