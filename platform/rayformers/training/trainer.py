"""Trainer: the driver of a run, with the guides' signature."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from ..data.ordering import Order
from ..data.shards import ShardedDataset, write_rows
from ..data.stream import Collate, Plan, stream
from ..data.text import padding_collator
from ..errors import CheckpointError, ConfigError
from . import checkpoint
from .arguments import TrainingArguments
from .callbacks import Callback, Progress
from .engine import EngineSettings
from .evaluation import evaluate
from .events import Event
from .export import MODEL, WEIGHTS, write_model
from .job import ScaleConfig, check_writable, choose_device
from .metrics import ComputeMetrics
from .process import Process
from .spec import RunSpec
from .torch_engine import TorchEngine


class TrainOutput(NamedTuple):
    """What `train` returns (guides' names)."""

    global_step: int
    training_loss: float
    metrics: dict[str, float]


class Trainer:
    """Trains a model, in this process or on Ray Train workers (guide: main_classes/trainer).

    Args:
        model: any torch module whose output has a `loss` when the batch has labels.
        args: TrainingArguments; None takes the defaults.
        data_collator: rows to a batch; None pads where processing_class is a tokenizer, else stacks.
        train_dataset: rows by number (a list, a torch or `datasets` dataset), or a ShardedDataset.
        eval_dataset: the held-out rows.
        processing_class: saved beside the model (tokenizer, image processor, ...); `tokenizer` is its old name.
        model_init: makes the model in the worker; takes the place of `model`.
        compute_metrics: from an EvalPrediction to named numbers.
        callbacks: objects or classes that hear what happens, in the driver.
        scale: workers and ZeRO stage; None trains in this process.
        address: Ray cluster; None takes RAY_ADDRESS, else starts one on this machine for the run.
    """

    def __init__(
        self,
        model: nn.Module | None = None,
        args: TrainingArguments | None = None,
        data_collator: Collate | None = None,
        train_dataset: Any | None = None,
        eval_dataset: Any | None = None,
        processing_class: Any | None = None,
        model_init: Callable[[], nn.Module] | None = None,
        compute_metrics: ComputeMetrics | None = None,
        callbacks: Sequence[Callback | type[Callback]] = (),
        *,
        tokenizer: Any | None = None,
        scale: ScaleConfig | None = None,
        address: str | None = None,
        run_id: str | None = None,
    ) -> None:
        if (model is None) == (model_init is None):
            raise ConfigError("Trainer takes either model or model_init.")
        self.args, self.scale = args or TrainingArguments(), scale or ScaleConfig()
        self._model, self._model_init, self._made = model, model_init, model
        self.train_dataset, self.eval_dataset = train_dataset, eval_dataset
        self.compute_metrics = compute_metrics
        self.processing_class = processing_class if processing_class is not None else tokenizer
        self.data_collator = data_collator or padding_collator(self.processing_class)
        self.address, self.run_id = address, run_id
        self.callbacks: list[Callback] = [] if self.args.disable_tqdm else [Progress()]
        for callback in callbacks:
            self.add_callback(callback)
        if self.args.eval_strategy != "no" and eval_dataset is None:
            raise ConfigError(f"eval_strategy is {self.args.eval_strategy!r} and there is no eval_dataset.")
        if self.scale.num_workers == 0:
            self.device = torch.device(choose_device("cpu" if self.args.use_cpu else self.scale.device))

    @property
    def model(self) -> nn.Module:
        """The model; after `train` the trained one."""
        if self._made is None:
            assert self._model_init is not None
            torch.manual_seed(self.args.seed)
            self._made = self._model_init()
        return self._made

    def add_callback(self, callback: Callback | type[Callback]) -> None:
        """Let an object, or a new object of a class, hear what happens."""
        self.callbacks.append(callback() if isinstance(callback, type) else callback)

    # -- training -------------------------------------------------------------------------------------------------

    def train(self, resume_from_checkpoint: str | Path | bool | None = None) -> TrainOutput:
        """Train to the end, or on from a checkpoint (True: the newest whole one below output_dir).

        Raises:
            ConfigError, CheckpointError, ResourceError: before anything starts.
            TrainingError: the run failed.
        """
        if self.train_dataset is None or len(self.train_dataset) == 0:
            raise ConfigError("Trainer.train needs a train_dataset with at least one row.")
        output = Path(self.args.output_dir).absolute()
        check_writable(output)
        spec = self._spec(output, self._resume_point(resume_from_checkpoint, output))
        losses: list[float] = []

        def emit(event: Event) -> None:
            if event.kind == "log":
                losses.append(event.values["loss"])
            for callback in self.callbacks:
                callback.handle(event)

        error: BaseException | None = None
        try:
            metrics = self._run(spec, emit)
        except BaseException as problem:
            error = problem
            raise
        finally:
            for callback in self.callbacks:
                callback.close(error)
        self._adopt(output / MODEL)
        return TrainOutput(spec.total_steps, sum(losses) / max(1, len(losses)), metrics)

    def _run(self, spec: RunSpec, emit: Callable[[Event], None]) -> dict[str, float]:
        if self.scale.num_workers == 0:
            from .loop import Loop

            return Loop(spec, Process(device=self.device), emit, lambda metrics, folder: None).run()
        from ..cluster.connect import connect, needed_cpus, require
        from .workers import run_on_workers

        workers, cpus = self.scale.num_workers, self.scale.cpus_per_worker
        with connect(self.address, num_cpus=needed_cpus(workers, cpus)) as cluster:
            wanted = "cpu" if self.args.use_cpu else self.scale.device
            use_gpu = choose_device(wanted, cluster_gpus=cluster.num_gpus) == "cuda"
            require(cluster, num_workers=workers, cpus_per_worker=cpus, gpus_per_worker=float(use_gpu))
            return run_on_workers(spec, emit, use_gpu=use_gpu)

    def _spec(self, output: Path, resume: Path | None) -> RunSpec:
        build = self._model_init
        if build is None:
            model = self._model
            assert model is not None

            def build() -> nn.Module:
                return model

        distributed = self.scale.num_workers > 0
        workers = max(1, self.scale.num_workers)
        batch = self.args.per_device_train_batch_size * self.args.gradient_accumulation_steps * workers
        run_id = self.run_id
        if resume is not None:
            state = checkpoint.read(resume, verify=False)
            batch, run_id = state.global_batch, run_id or state.run_id
        return RunSpec(
            arguments=self.args,
            scale=self.scale,
            build=build,
            train=self._shards(self.train_dataset, output / "data" / "train") if distributed else self.train_dataset,
            evaluation=self._shards(self.eval_dataset, output / "data" / "eval") if distributed else self.eval_dataset,
            output=output,
            attempt=uuid.uuid4().hex,
            global_batch=batch,
            processor=self.processing_class,
            collate=self.data_collator,
            compute_metrics=self.compute_metrics,
            run_id=run_id,
            resume=resume,
        )

    @staticmethod
    def _shards(dataset: Any | None, folder: Path) -> ShardedDataset | None:
        """Rows in memory as shards that all workers can read."""
        if dataset is None or isinstance(dataset, ShardedDataset):
            return dataset
        shutil.rmtree(folder, ignore_errors=True)
        return write_rows(folder, dataset)

    def _resume_point(self, given: str | Path | bool | None, output: Path) -> Path | None:
        wanted = given if given is not None else self.args.resume_from_checkpoint
        if not wanted:
            return None
        if wanted is not True:
            checkpoint.read(Path(wanted).absolute())
            return Path(wanted).absolute()
        found = checkpoint.newest(output)
        if found is None:
            raise CheckpointError(f"resume_from_checkpoint is true and {output} holds no whole checkpoint.")
        return found[0]

    def _adopt(self, folder: Path) -> None:
        """Give the model of this process the weights that the run exported."""
        model = self.model
        if not hasattr(model, "save_pretrained"):
            model.load_state_dict(torch.load(folder / WEIGHTS, weights_only=True))
        elif self.scale.num_workers > 0 or self.args.load_best_model_at_end:
            model.load_state_dict(type(model).from_pretrained(folder).state_dict())  # type: ignore[attr-defined]

    # -- evaluation and saving --------------------------------------------------------------------------------------

    def evaluate(self, eval_dataset: Any | None = None, metric_key_prefix: str = "eval") -> dict[str, float]:
        """Loss and metrics on the held-out rows, in this process."""
        dataset = self.eval_dataset if eval_dataset is None else eval_dataset
        if dataset is None:
            raise ConfigError("Trainer.evaluate needs an eval_dataset.")
        process = Process(device=torch.device(choose_device("cpu" if self.args.use_cpu else self.scale.device)))
        rows = dataset.shard_rows if isinstance(dataset, ShardedDataset) else (len(dataset),)
        order = Order(shard_rows=rows, global_batch=len(dataset), shuffle=False)
        plan = Plan(order=order, world=1, rank=0, micro=self.args.per_device_eval_batch_size)
        engine = TorchEngine()
        engine.prepare(
            self.model, EngineSettings(arguments=self.args, scale=ScaleConfig(), process=process, accumulation=1)
        )
        pieces = stream(dataset, plan, first_step=0, last_step=1, distributed=False, collate=self.data_collator)
        return evaluate(
            engine,
            pieces,
            process,
            compute_metrics=self.compute_metrics,
            label_names=self.args.label_names,
            prefix=metric_key_prefix,
        )

    def save_model(self, output_dir: str | Path | None = None) -> None:
        """Write the model in the Hub's layout; None takes output_dir of the arguments."""
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        write_model(self.model, self.model.state_dict(), self.processing_class, folder)
