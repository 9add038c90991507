"""Trainer in this process: it learns, resumes exactly, keeps the best, and says what is wrong."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from rayformers import AutoConfig, AutoModelForImageClassification, Trainer, TrainingArguments, ViTImageProcessor
from rayformers.data.sources import open_source
from rayformers.errors import CheckpointError, ConfigError, TrainingError
from rayformers.training.callbacks import Callback, Progress
from rayformers.training.events import Event
from rayformers.training.metrics import classification


def build(**fields: Any) -> nn.Module:
    settings = {
        "image_size": 8,
        "patch_size": 4,
        "num_channels": 1,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "hidden_dropout_prob": 0.1,
        "num_labels": 10,
    }
    config = AutoConfig.for_model("vit", **settings, **fields)
    model: nn.Module = AutoModelForImageClassification.from_config(config)
    return model


def rows(start: int, stop: int) -> list[dict[str, Any]]:
    columns = open_source("sklearn://digits").read(np.arange(start, stop))
    return [
        {"pixel_values": np.asarray(image, np.float32)[None] / 128 - 1, "labels": label}
        for image, label in zip(columns["image"], columns["label"], strict=True)
    ]


class Losses(Callback):
    def __init__(self) -> None:
        self.losses: dict[int, float] = {}

    def on_log(self, event: Event) -> None:
        self.losses[event.step] = event.values["loss"]


def arguments(folder: Path, **fields: Any) -> TrainingArguments:
    settings = {
        "max_steps": 12,
        "per_device_train_batch_size": 10,
        "learning_rate": 3e-3,
        "logging_steps": 1,
        "save_steps": 5,
        "disable_tqdm": True,
    }
    return TrainingArguments(folder, **(settings | fields))


def losses(folder: Path, resume: Any = None, **fields: Any) -> dict[int, float]:
    heard = Losses()
    Trainer(model_init=build, args=arguments(folder, **fields), train_dataset=rows(0, 45), callbacks=[heard]).train(
        resume
    )
    return heard.losses


def test_a_resumed_run_goes_on_bit_for_bit_with_dropout(tmp_path: Path) -> None:
    whole = losses(tmp_path)
    assert whole[12] < whole[1]
    assert losses(tmp_path / "on", tmp_path / "checkpoint-5") == {step: whole[step] for step in range(6, 13)}


def test_accumulation_does_not_change_the_curve(tmp_path: Path) -> None:
    curves = []
    for micro, accumulation in ((10, 1), (5, 2), (2, 5)):
        heard = Losses()
        torch.manual_seed(0)
        settings = arguments(
            tmp_path / str(micro), per_device_train_batch_size=micro, gradient_accumulation_steps=accumulation
        )
        trained = build()
        for module in trained.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        trained.load_state_dict(torch.load(tmp_path / "start.pt") if curves else _keep(trained, tmp_path / "start.pt"))
        Trainer(model=trained, args=settings, train_dataset=rows(0, 45), callbacks=[heard]).train()
        curves.append(heard.losses)
    assert curves[1] == pytest.approx(curves[0], abs=1e-5)
    assert curves[2] == pytest.approx(curves[0], abs=1e-5)


def _keep(model: nn.Module, file: Path) -> dict[str, torch.Tensor]:
    torch.save(model.state_dict(), file)
    return model.state_dict()


def test_the_newest_whole_checkpoint_is_found(tmp_path: Path) -> None:
    whole = losses(tmp_path)
    (tmp_path / "checkpoint-12" / "engine" / "state.pt").write_bytes(b"")
    assert sorted(losses(tmp_path, resume=True)) == [11, 12]
    assert whole[12] == losses(tmp_path, resume=tmp_path / "checkpoint-10")[12]


@pytest.mark.parametrize("fields", [{"data_seed": 7}, {"per_device_train_batch_size": 10, "seed": 3}])
def test_a_checkpoint_of_other_samples_is_refused(tmp_path: Path, fields: dict[str, Any]) -> None:
    losses(tmp_path)
    with pytest.raises(CheckpointError, match="other samples"):
        losses(tmp_path / "on", tmp_path / "checkpoint-5", **fields)


def test_best_model_metrics_and_export(tmp_path: Path) -> None:
    processor = ViTImageProcessor(size={"height": 8, "width": 8}, image_mean=[0.5], image_std=[0.5])
    trainer = Trainer(
        model_init=build,
        args=arguments(
            tmp_path,
            num_train_epochs=6,
            max_steps=-1,
            eval_strategy="epoch",
            save_strategy="epoch",
            save_total_limit=1,
            load_best_model_at_end=True,
            metric_for_best_model="accuracy",
        ),
        train_dataset=rows(0, 200),
        eval_dataset=rows(200, 260),
        compute_metrics=classification,
        processing_class=processor,
    )
    output = trainer.train()
    assert output.global_step == 120
    found = trainer.evaluate()
    assert found["eval_accuracy"] > 0.3
    best = AutoModelForImageClassification.from_pretrained(tmp_path / "model")
    torch.testing.assert_close(best.state_dict(), trainer.model.state_dict())
    assert (tmp_path / "model" / "preprocessor_config.json").is_file()
    assert len(list(tmp_path.glob("checkpoint-*"))) <= 2


def test_bf16_on_the_cpu(tmp_path: Path) -> None:
    curve = losses(tmp_path, bf16=True)
    assert curve[12] < curve[1]


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    broken = [{**row, "pixel_values": row["pixel_values"] * np.float32(np.nan)} for row in rows(0, 20)]
    with pytest.raises(TrainingError, match="loss is nan at step 1"):
        Trainer(model_init=build, args=arguments(tmp_path), train_dataset=broken).train()


def test_wrong_calls(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="either model or model_init"):
        Trainer(args=arguments(tmp_path))
    with pytest.raises(ConfigError, match="no eval_dataset"):
        Trainer(model_init=build, args=arguments(tmp_path, eval_strategy="epoch"))
    with pytest.raises(ConfigError, match="train_dataset"):
        Trainer(model_init=build, args=arguments(tmp_path)).train()
    with pytest.raises(ConfigError, match="fp16 needs a CUDA device"):
        losses(tmp_path, fp16=True)
    with pytest.raises(CheckpointError, match="no whole checkpoint"):
        losses(tmp_path / "empty", resume=True)


def test_progress_in_plain_lines() -> None:
    stream = io.StringIO()
    progress = Progress(stream)
    progress.handle(Event(kind="begin", step=0, values={"total_steps": 4, "parameters": 1000, "resumed": False}))
    progress.handle(
        Event(kind="log", step=2, epoch=0.5, values={"loss": 0.5, "samples_per_second": 1234.5, "learning_rate": 1e-3})
    )
    progress.handle(Event(kind="evaluate", step=2, epoch=0.5, values={"eval_accuracy": 0.25, "eval_runtime": 1.0}))
    text = stream.getvalue()
    assert "step 2/4" in text
    assert "loss 0.5000  1,234 samples/s" in text
    assert "ETA" in text
    assert "eval_accuracy 0.2500" in text
    assert "\x1b" not in text, "no escape codes where nobody reads them"
