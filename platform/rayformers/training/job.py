"""A job file: what to train, on which data, how, where, and under which name to register the result."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..config import Config, load_config
from ..errors import ConfigError, UnknownNameError
from .arguments import TrainingArguments

DEFAULT_RUNS = "runs"


@dataclass(frozen=True, kw_only=True)
class ModelSection(Config):
    """Either a checkpoint to start from, or an architecture to initialise."""

    pretrained: str | None = None
    """Hub id, folder, or models:/name@alias."""
    architecture: str | None = None
    """A model type, such as vit."""
    config: dict[str, Any] = field(default_factory=dict)
    """Fields of the model's config.json."""
    processor: dict[str, Any] = field(default_factory=dict)
    """Fields of preprocessor_config.json."""

    def __post_init__(self) -> None:
        if (self.pretrained is None) == (self.architecture is None):
            given = "both" if self.pretrained else "neither"
            raise ConfigError(f"model takes either `pretrained` or `architecture`; {given} is given.")


@dataclass(frozen=True, kw_only=True)
class DataSection(Config):
    """Where rows come from and how many are held out."""

    source: str
    """scheme://place, such as sklearn://digits or imagefolder:///data/flowers."""
    validation: float | str = 0.1
    """Share of the rows to hold out, or a source of its own."""
    seed: int = 42
    """Seed of the split."""


@dataclass(frozen=True, kw_only=True)
class ScaleConfig(Config):
    """Workers and how the training state is divided among them."""

    num_workers: int = 0
    """Ray Train workers; 0 trains in this process."""
    zero_stage: int | None = None
    """DeepSpeed ZeRO stage 0 to 3; None trains with torch (DistributedDataParallel with more than one worker)."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    cpus_per_worker: float = 1.0
    max_failures: int = 3
    """How often workers may die before the run fails; each time it goes on from the newest checkpoint."""
    offload_optimizer: bool = False
    """Keep the optimizer's state in main memory (ZeRO 1 to 3)."""

    def __post_init__(self) -> None:
        if self.num_workers < 0:
            raise ConfigError(f"scale.num_workers is {self.num_workers}; give 0 (this process) or more.")
        if self.zero_stage not in (None, 0, 1, 2, 3):
            raise ConfigError(f"scale.zero_stage is {self.zero_stage}; allowed: 0, 1, 2, 3, or leave it out.")
        if self.zero_stage is not None and self.num_workers == 0:
            raise ConfigError("scale.zero_stage needs workers: set scale.num_workers to 1 or more.")
        if self.offload_optimizer and not self.zero_stage:
            raise ConfigError("scale.offload_optimizer needs scale.zero_stage 1, 2 or 3.")
        if self.cpus_per_worker <= 0 or self.max_failures < 0:
            raise ConfigError("scale.cpus_per_worker must be above 0 and scale.max_failures at least 0.")


@dataclass(frozen=True, kw_only=True)
class TrackSection(Config):
    """The experiment to record in."""

    experiment: str = "rayformers"
    uri: str | None = None
    """Tracking server; None takes MLFLOW_TRACKING_URI, else a database below runs/."""


@dataclass(frozen=True, kw_only=True)
class RegisterSection(Config):
    """The name to register the final model under."""

    name: str
    alias: str | None = None


@dataclass(frozen=True, kw_only=True)
class JobConfig(Config):
    """A whole run. `load_job` reads one from a file."""

    task: str
    model: ModelSection
    data: DataSection
    train: TrainingArguments = field(default_factory=TrainingArguments)
    scale: ScaleConfig = field(default_factory=ScaleConfig)
    track: TrackSection | None = None
    register: RegisterSection | None = None
    output: Path | None = None
    """Folder for shards, checkpoints and the final model; None takes runs/<experiment or task>."""
    address: str | None = None
    """Ray cluster; None takes RAY_ADDRESS, else starts one on this machine."""

    def __post_init__(self) -> None:
        from ..data.preprocessing import PREPROCESSORS

        try:
            PREPROCESSORS.get(self.task)
        except UnknownNameError as error:
            raise ConfigError(f"task: {error}") from error
        if self.register is not None and self.track is None:
            raise ConfigError("register needs a track section: a model version belongs to a recorded run.")

    @property
    def name(self) -> str:
        """What the run is called where it has no name of its own."""
        return self.train.run_name or (self.track.experiment if self.track else self.task)

    @property
    def folder(self) -> Path:
        """Absolute output folder."""
        return Path(self.output or Path(DEFAULT_RUNS) / self.name).absolute()


def load_job(path: str | Path, overrides: Sequence[str] = ()) -> JobConfig:
    """Read a job file and apply "section.key=value" overrides.

    Raises:
        NotFoundError: no such file.
        ConfigError: a key or value is wrong; file, line and nearest key are named.
    """
    return load_config(JobConfig, path, overrides)


def check_writable(folder: Path) -> None:
    """Make `folder` and write into it, so that a bad place shows before the cluster starts.

    Raises:
        ConfigError: it cannot be made or written to.
    """
    probe = folder / f".write-test-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise ConfigError(
            f"Cannot write to the output folder {folder}: {error.strerror or error}. Choose another."
        ) from error


def choose_device(wanted: str, *, cluster_gpus: float | None = None) -> Literal["cpu", "cuda"]:
    """The device that a run computes on.

    Args:
        wanted: auto, cpu or cuda.
        cluster_gpus: GPUs of the cluster, where the run's workers are on one; None asks this machine.

    Raises:
        ConfigError: cuda was asked for and there is none.
    """
    if wanted == "cpu":
        return "cpu"
    if cluster_gpus is None:
        import torch

        cluster_gpus = torch.cuda.device_count()
    if cluster_gpus:
        return "cuda"
    if wanted == "cuda":
        raise ConfigError("scale.device is 'cuda' and no CUDA device is there. Set it to cpu or auto.")
    return "cpu"
