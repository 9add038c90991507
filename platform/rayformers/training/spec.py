"""Everything a worker needs to know of a run. It pickles, so that Ray can send it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from ..data.ordering import Order
from ..data.shards import ShardedDataset
from ..data.stream import Collate, Plan
from .arguments import TrainingArguments
from .cadence import Cadence
from .job import ScaleConfig
from .metrics import ComputeMetrics
from .process import Process


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """One call of `train()`."""

    arguments: TrainingArguments
    scale: ScaleConfig
    build: Callable[[], nn.Module]
    """Makes the model in the worker."""
    train: Any
    """A ShardedDataset, or in one process anything with a length and rows by number."""
    evaluation: Any | None
    output: Path
    attempt: str
    global_batch: int
    processor: Any | None = None
    """Saved beside the weights (image processor, tokenizer, ...)."""
    collate: Collate | None = None
    compute_metrics: ComputeMetrics | None = None
    run_id: str | None = None
    resume: Path | None = None
    """A checkpoint of an earlier run to start from."""
    order: Order = field(init=False)

    def __post_init__(self) -> None:
        rows = self.train.shard_rows if isinstance(self.train, ShardedDataset) else (len(self.train),)
        order = Order(
            shard_rows=rows,
            global_batch=self.global_batch,
            seed=self.arguments.order_seed,
            drop_last=self.arguments.dataloader_drop_last,
        )
        object.__setattr__(self, "order", order)

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the run."""
        return self.arguments.total_steps(self.order.steps_per_epoch)

    @property
    def cadence(self) -> Cadence:
        """When the run logs, evaluates and saves."""
        return Cadence(
            arguments=self.arguments, steps_per_epoch=self.order.steps_per_epoch, total_steps=self.total_steps
        )

    @property
    def data_hash(self) -> str:
        """Hash of the training shards, "" for rows in memory."""
        return self.train.manifest.content_hash if isinstance(self.train, ShardedDataset) else ""

    def plan(self, process: Process) -> Plan:
        """The micro batches of one rank."""
        micro = self.arguments.per_device_train_batch_size
        return Plan(order=self.order, world=process.world, rank=process.rank, micro=micro)

    def evaluation_plan(self, process: Process) -> Plan:
        """One pass over the held-out rows is one step of this plan."""
        rows = len(self.evaluation) if self.evaluation is not None else 0
        shards = self.evaluation.shard_rows if isinstance(self.evaluation, ShardedDataset) else (rows,)
        order = Order(shard_rows=shards, global_batch=rows, shuffle=False)
        return Plan(
            order=order, world=process.world, rank=process.rank, micro=self.arguments.per_device_eval_batch_size
        )
