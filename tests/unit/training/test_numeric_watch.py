"""Where numbers overflow."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from rayformers import debug_utils
from rayformers.errors import ConfigError, TrainingError


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 2)

    def forward(self, x: torch.Tensor, scale: float = 1.0) -> dict[str, torch.Tensor]:
        return {"logits": self.second(self.first(x) * scale)}


def test_the_module_is_named() -> None:
    model = Model()
    watch = debug_utils.DebugUnderflowOverflow(model, max_frames_to_save=2)
    model(torch.ones(2, 3))
    with pytest.raises(TrainingError, match=r"batch 1(.|\n)*first Linear(.|\n)*second Linear(.|\n)*input\[0\]"):
        model(torch.ones(2, 3), scale=float("inf"))
    watch.remove()
    assert not torch.isfinite(model(torch.ones(2, 3), scale=float("inf"))["logits"]).all()


def test_traces_and_the_last_batch(caplog: pytest.LogCaptureFixture) -> None:
    model = Model()
    watch = debug_utils.DebugUnderflowOverflow(model, trace_batch_nums=[1], abort_after_batch_num=1)
    with caplog.at_level(logging.INFO):
        model(torch.ones(2, 3))
        assert not caplog.records
        with pytest.raises(TrainingError, match="after batch 1"):
            model(torch.ones(2, 3))
    text = caplog.text
    assert "batch 1" in text and "first Linear" in text and "(the model) Model" in text and "output.logits" in text
    watch.remove()


def test_wrong_settings() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        debug_utils.DebugUnderflowOverflow(Model(), max_frames_to_save=0)
    assert debug_utils.DebugOption("underflow_overflow") == debug_utils.DebugOption.UNDERFLOW_OVERFLOW
