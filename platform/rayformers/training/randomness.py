"""Seeds, and runs that repeat to the bit."""

from __future__ import annotations

import os
import random

import numpy as np
import torch

_DETERMINISTIC = {
    "CUDA_LAUNCH_BLOCKING": "1",
    "CUBLAS_WORKSPACE_CONFIG": ":16:8",
    "FLASH_ATTENTION_DETERMINISTIC": "1",
}
"""What CUDA's libraries read before they start."""


def set_seed(seed: int, deterministic: bool = False) -> None:
    """Seed Python, numpy and torch on all devices.

    Args:
        seed: the seed.
        deterministic: also refuse operations whose results vary.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)  # all accelerators too
    if deterministic:
        torch.use_deterministic_algorithms(True)


def enable_full_determinism(seed: int, warn_only: bool = False) -> None:
    """Seed everything and use deterministic algorithms only, which is slower.

    Args:
        seed: the seed.
        warn_only: warn of operations whose results vary, rather than raise.
    """
    set_seed(seed)
    os.environ.update(_DETERMINISTIC)
    torch.use_deterministic_algorithms(True, warn_only=warn_only)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


def seed_worker(worker_id: int, num_workers: int, rank: int) -> None:
    """Seed a loader's worker, each of each rank otherwise."""
    set_seed(num_workers * rank + torch.initial_seed() % 2**32)
