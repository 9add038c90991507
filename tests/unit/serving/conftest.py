from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.serving.samples import save_tiny_vit


@pytest.fixture(scope="session")
def vit_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_vit(tmp_path_factory.mktemp("vit"))


@pytest.fixture(scope="session")
def pipe(vit_folder: Path) -> Any:
    from rayformers import pipeline

    return pipeline("image-classification", model=str(vit_folder), device="cpu")
