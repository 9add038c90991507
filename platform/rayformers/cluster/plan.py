"""What a job will take, from its job file alone: nothing is started and no weights are read.

Memory counts what is known before a run: weights, gradients and AdamW's two moments. Activations depend on the kernels
and come on top.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from ..errors import ConfigError
from .connect import needed_cpus

FLOAT32_BYTES = 4
HALF_BYTES = 2
ADAM_MOMENTS = 2


class Job(Protocol):
    """The parts of a job configuration that a plan reads."""

    @property
    def task(self) -> str:
        """Name of the task."""

    @property
    def model(self) -> Any:
        """pretrained, or architecture and config."""

    @property
    def data(self) -> Any:
        """source, validation and seed."""

    @property
    def train(self) -> Any:
        """TrainingArguments."""

    @property
    def scale(self) -> Any:
        """num_workers, zero_stage, device, cpus_per_worker."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The answer of `plan`; sizes in bytes."""

    task: str
    model: str
    data: str
    engine: str
    device: str
    world_size: int
    per_device_batch_rows: int
    accumulation_steps: int
    optimizer_steps: int | None
    """Steps of the whole run; None when the number of rows is not known."""
    parameters: int
    trainable_parameters: int
    precision: Literal["float32", "bfloat16", "float16"]
    state_bytes_per_worker: int
    memory_formula: str
    checkpoint_bytes: int
    model_bytes: int
    needs: str

    @property
    def global_batch_rows(self) -> int:
        """Rows in one optimizer step."""
        return self.per_device_batch_rows * self.accumulation_steps * self.world_size

    @property
    def batch_formula(self) -> str:
        """How the global batch comes about."""
        return (
            f"{self.per_device_batch_rows} per device x {self.accumulation_steps} accumulated x {self.world_size} ranks"
        )


@dataclass(frozen=True, kw_only=True)
class State:
    """Bytes that the training state of one rank takes, by part."""

    weights: int
    gradients: int
    optimizer: int

    @property
    def total(self) -> int:
        """Bytes of all parts."""
        return self.weights + self.gradients + self.optimizer


def training_state(
    parameters: int, trainable: int, *, world_size: int, zero_stage: int | None, precision: str
) -> State:
    """Bytes of weights, gradients and optimizer on one rank.

    DeepSpeed in half precision keeps half weights and gradients and a float32 copy of the weights beside the moments;
    the torch engine computes in half precision from float32 weights. ZeRO divides the optimizer (stage 1 on), the
    gradients (2 on) and the weights (3) among the ranks.
    """
    half = zero_stage is not None and precision != "float32"
    element = HALF_BYTES if half else FLOAT32_BYTES
    copies = ADAM_MOMENTS + (1 if half else 0)
    stage = zero_stage or 0
    return State(
        weights=math.ceil(parameters * element / (world_size if stage >= 3 else 1)),
        gradients=math.ceil(trainable * element / (world_size if stage >= 2 else 1)),
        optimizer=math.ceil(trainable * copies * FLOAT32_BYTES / (world_size if stage >= 1 else 1)),
    )


def plan(job: Job) -> Plan:
    """Check a job and work out what it takes.

    Raises:
        ConfigError: the model, the data or the batch cannot be had as the job says.
        NotFoundError: the data or the pretrained model does not exist.
    """
    from ..data.sources import open_source, split

    source = open_source(job.data.source)
    if isinstance(job.data.validation, str):
        rows, held_out = len(source), len(open_source(job.data.validation))
    else:
        chosen, rest = split(len(source), job.data.validation, job.data.seed)
        rows, held_out = len(chosen), len(rest)
    world_size = max(1, job.scale.num_workers)
    train = job.train
    device, found = _device(job)
    precision: Literal["float32", "bfloat16", "float16"] = (
        "bfloat16" if train.bf16 else "float16" if train.fp16 else "float32"
    )
    if precision == "float16" and device == "cpu":
        raise ConfigError("train.fp16 needs a CUDA device; on a CPU set train.bf16, or neither.")
    name, parameters, trainable = _parameters(job, len(source.labels) if source.labels else None)
    stage = job.scale.zero_stage
    state = training_state(parameters, trainable, world_size=world_size, zero_stage=stage, precision=precision)
    whole = training_state(parameters, trainable, world_size=1, zero_stage=stage, precision=precision)
    global_batch = train.per_device_train_batch_size * train.gradient_accumulation_steps * world_size
    steps_per_epoch = rows // global_batch if train.dataloader_drop_last else math.ceil(rows / global_batch)
    return Plan(
        task=job.task,
        model=name,
        data=f"{source.name}: {rows:,} rows to train on, {held_out:,} held out",
        engine="torch" if stage is None else f"DeepSpeed ZeRO-{stage}",
        device=f"{device}{found}",
        world_size=world_size,
        per_device_batch_rows=train.per_device_train_batch_size,
        accumulation_steps=train.gradient_accumulation_steps,
        optimizer_steps=train.total_steps(steps_per_epoch),
        parameters=parameters,
        trainable_parameters=trainable,
        precision=precision,
        state_bytes_per_worker=state.total,
        memory_formula="weights + gradients + optimizer" + _division(stage, world_size),
        checkpoint_bytes=whole.weights + whole.optimizer,
        model_bytes=parameters * FLOAT32_BYTES,
        needs=_needs(job, device),
    )


def _division(stage: int | None, world_size: int) -> str:
    divided = {1: "optimizer", 2: "gradients and optimizer", 3: "all three"}.get(stage or 0)
    return f" ({divided} divided by {world_size})" if divided and world_size > 1 else ""


def _device(job: Job) -> tuple[str, str]:
    if job.scale.device != "auto":
        return job.scale.device, ""
    if job.train.use_cpu:
        return "cpu", ""
    import torch

    return ("cuda" if torch.cuda.is_available() else "cpu"), " on this machine"


def _needs(job: Job, device: str) -> str:
    if job.scale.num_workers == 0:
        return "none: trains in this process"
    cpus = needed_cpus(job.scale.num_workers, job.scale.cpus_per_worker)
    gpus = f" and {job.scale.num_workers} GPUs" if device == "cuda" else ""
    return f"{cpus} logical CPUs{gpus}, data tasks included"


def _parameters(job: Job, num_labels: int | None) -> tuple[str, int, int]:
    """Name of the model's class, its parameters and the trained ones, from a model without memory."""
    import torch

    from ..models.auto import AutoConfig, auto_class
    from ..pipelines import TASKS

    values: dict[str, Any] = {} if num_labels is None else {"num_labels": num_labels}
    if job.model.pretrained:
        config = AutoConfig.from_pretrained(job.model.pretrained, **values)
    else:
        config = AutoConfig.for_model(job.model.architecture, **(values | dict(job.model.config)))
    names = TASKS.get(job.task).auto_classes
    with torch.device("meta"):
        model = auto_class(names[0]).from_config(config)
    # A tied weight is one parameter under two names; `parameters` lists it once.
    counts = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return type(model).__name__, sum(n for n, _ in counts), sum(n for n, trained in counts if trained)
