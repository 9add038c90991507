"""What every test may rely on: no ambient settings, few threads."""

from __future__ import annotations

import os

import hypothesis
import pytest

# A busy machine is no failure; the examples that failed once are tried again from .hypothesis/.
hypothesis.settings.register_profile("rayformers", deadline=None, max_examples=40)
hypothesis.settings.load_profile("rayformers")

# Tiny models are slower with several threads each. These must be set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
AMBIENT = ("RAY_ADDRESS", "RAY_DASHBOARD_ADDRESS", "MLFLOW_TRACKING_URI", "RAYFORMERS_TRACEBACK", "HF_TOKEN")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own cluster, tracker or token must neither help nor hurt a test."""
    for name in AMBIENT:
        monkeypatch.delenv(name, raising=False)
