"""Names and small functions around the guides' Trainer (guide: internal/trainer_utils)."""

from __future__ import annotations

import functools
import inspect
import logging
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ..enums import ExplicitEnum
from ..errors import ConfigError
from .schedulers import SchedulerType

__all__ = [
    "BestRun", "EvalLoopOutput", "EvaluationStrategy", "HPSearchBackend", "HubStrategy", "IntervalStrategy",
    "PREFIX_CHECKPOINT_DIR", "PredictionOutput", "RemoveColumnsCollator", "SaveStrategy", "SchedulerType",
    "check_target_module_exists", "default_compute_objective", "default_hp_space_ray", "denumpify_detensorize",
    "find_executable_batch_size", "get_last_checkpoint", "has_length", "is_main_process", "neftune_post_forward_hook",
    "number_of_arguments", "speed_metrics", "total_processes_number",
]  # fmt: skip

PREFIX_CHECKPOINT_DIR = "checkpoint"
_CHECKPOINT = re.compile(rf"{PREFIX_CHECKPOINT_DIR}-(\d+)")


class IntervalStrategy(ExplicitEnum):
    """When something is due."""

    NO = "no"
    STEPS = "steps"
    EPOCH = "epoch"


EvaluationStrategy = IntervalStrategy


class SaveStrategy(ExplicitEnum):
    """When a checkpoint is due."""

    NO = "no"
    STEPS = "steps"
    EPOCH = "epoch"
    BEST = "best"


class HubStrategy(ExplicitEnum):
    """What is pushed to the Hub, and when."""

    END = "end"
    EVERY_SAVE = "every_save"
    CHECKPOINT = "checkpoint"
    ALL_CHECKPOINTS = "all_checkpoints"


class HPSearchBackend(ExplicitEnum):
    """What searches hyperparameters."""

    OPTUNA = "optuna"
    RAY = "ray"
    WANDB = "wandb"


class EvalLoopOutput(NamedTuple):
    """What an evaluation loop returns."""

    predictions: Any
    label_ids: Any
    metrics: dict[str, float] | None
    num_samples: int | None


class PredictionOutput(NamedTuple):
    """What `predict` returns."""

    predictions: Any
    label_ids: Any
    metrics: dict[str, float] | None


class BestRun(NamedTuple):
    """What a hyperparameter search returns."""

    run_id: str
    objective: float | list[float]
    hyperparameters: dict[str, Any]
    run_summary: Any = None


def get_last_checkpoint(folder: str | Path) -> str | None:
    """The folder "checkpoint-<step>" of the highest step in `folder`; None where there is none."""
    steps = {
        int(match[1]): child
        for child in Path(folder).iterdir()
        if (match := _CHECKPOINT.fullmatch(child.name)) and child.is_dir()
    }
    return str(steps[max(steps)]) if steps else None


def denumpify_detensorize(metrics: Any) -> Any:
    """Python numbers in the place of numpy's and of tensors with one element, in lists, tuples and mappings."""
    if isinstance(metrics, (list, tuple)):
        return type(metrics)(denumpify_detensorize(value) for value in metrics)
    if isinstance(metrics, dict):
        return type(metrics)({key: denumpify_detensorize(value) for key, value in metrics.items()})
    if isinstance(metrics, np.generic) or (isinstance(metrics, torch.Tensor) and metrics.numel() == 1):
        return metrics.item()
    return metrics


_NO_OBJECTIVE = ("_runtime", "_per_second", "_compilation_time")


def default_compute_objective(metrics: Mapping[str, float]) -> float:
    """What a search optimises: the sum of the metrics; the loss where there are no others.

    Raises:
        ConfigError: there is neither.
    """
    others = [
        value
        for name, value in metrics.items()
        if name not in ("eval_loss", "epoch") and not name.endswith(_NO_OBJECTIVE)
    ]
    if others:
        return sum(others)
    if "eval_loss" not in metrics:
        raise ConfigError(f"The metrics {sorted(metrics)} have neither eval_loss nor another to optimise.")
    return metrics["eval_loss"]


def default_hp_space_ray(trial: Any) -> dict[str, Any]:
    """Where a search with Ray Tune looks when its user does not say."""
    from ray import tune

    return {
        "learning_rate": tune.loguniform(1e-6, 1e-4),
        "num_train_epochs": tune.choice(list(range(1, 6))),
        "seed": tune.uniform(1, 40),
        "per_device_train_batch_size": tune.choice([4, 8, 16, 32, 64]),
    }


def speed_metrics(
    split: str,
    start_time: float,
    num_samples: int | None = None,
    num_steps: int | None = None,
    num_tokens: int | None = None,
) -> dict[str, float]:
    """Seconds since `start_time` (of `time.time`), and how much was done in each of them.

    Args:
        split: prefix of the names.
        start_time: when the work began.
        num_samples, num_steps, num_tokens: what was done.
    """
    runtime = time.time() - start_time
    result = {f"{split}_runtime": round(runtime, 4)}
    if runtime > 0:
        for name, number in (("samples", num_samples), ("steps", num_steps), ("tokens", num_tokens)):
            if number is not None:
                result[f"{split}_{name}_per_second"] = round(number / runtime, 3)
    return result


class RemoveColumnsCollator:
    """A collator that leaves out the columns that a model does not take.

    Args:
        data_collator: gets the rest.
        signature_columns: the columns that stay.
        logger: is told once which columns were left out.
        model_name, description: for that line: the model, and "training" or "evaluation".
    """

    def __init__(
        self,
        data_collator: Callable[[list[Any]], Any],
        signature_columns: Collection[str],
        logger: logging.Logger | None = None,
        model_name: str | None = None,
        description: str | None = None,
    ) -> None:
        self.data_collator = data_collator
        self.signature_columns = signature_columns
        self.logger = logger
        self.model_name = model_name
        self.description = description
        self.message_logged = False

    def _kept(self, row: Any) -> Any:
        if not isinstance(row, dict):
            return row
        ignored = [name for name in row if name not in self.signature_columns]
        if ignored and self.logger and self.model_name and not self.message_logged:
            self.message_logged = True
            place = f" of the {self.description} set" if self.description else ""
            self.logger.info(
                "%s.forward does not take the columns %s%s; they are left out.", self.model_name, ignored, place
            )
        return {name: value for name, value in row.items() if name in self.signature_columns}

    def __call__(self, features: Sequence[Any]) -> Any:
        """Rows to a batch."""
        return self.data_collator([self._kept(row) for row in features])


def has_length(dataset: Any) -> bool:
    """Whether `len(dataset)` works."""
    try:
        return len(dataset) is not None
    except (TypeError, AttributeError):
        return False


def number_of_arguments(func: Callable[..., Any]) -> int:
    """How many arguments a function still takes, a partial one included."""
    if isinstance(func, functools.partial):
        return len(inspect.signature(func.func).parameters) - len(func.args) - len(func.keywords)
    return len(inspect.signature(func).parameters)


def check_target_module_exists(
    optim_target_modules: str | Sequence[str], key: str, return_is_regex: bool = False
) -> bool | tuple[bool, bool]:
    """Whether a module's name is meant by `optim_target_modules`.

    Args:
        optim_target_modules: a regular expression for the whole name, or a list of names, parts of names or such
            expressions.
        key: the module's name.
        return_is_regex: also return whether only an expression matched.
    """
    if isinstance(optim_target_modules, str):
        found, is_regex = re.fullmatch(optim_target_modules, key) is not None, optim_target_modules != key
    else:
        plain = any(target in key for target in optim_target_modules)
        is_regex = not plain and any(re.fullmatch(target, key) for target in optim_target_modules)
        found = plain or is_regex
    return (found, is_regex) if return_is_regex else found


def neftune_post_forward_hook(module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
    """Adds uniform noise to embeddings [B, L, width] in training (Jain et al. 2023, arXiv:2310.05914).

    The module's `neftune_noise_alpha` over sqrt(L * width) is the largest noise.
    """
    if not module.training:
        return output
    largest = module.neftune_noise_alpha / (output.shape[1] * output.shape[2]) ** 0.5
    return output + torch.empty_like(output).uniform_(-largest, largest)


def is_main_process(local_rank: int) -> bool:
    """Whether this is the first process of its machine, or the only one (-1)."""
    return local_rank in (-1, 0)


def total_processes_number(local_rank: int) -> int:
    """The number of processes; 1 without a process group."""
    return 1 if local_rank == -1 else torch.distributed.get_world_size()


def find_executable_batch_size(
    function: Callable[..., Any] | None = None, starting_batch_size: int = 128, auto_find_batch_size: bool = False
) -> Callable[..., Any]:
    """Call `function(batch_size, ...)` with half the batch whenever memory was too small.

    Args:
        function: takes the batch size first; without one a decorator is returned.
        starting_batch_size: the first size.
        auto_find_batch_size: False never tries another size.

    Raises:
        ConfigError: (from the call) not even one row fits.
    """
    if function is None:
        return functools.partial(
            find_executable_batch_size,
            starting_batch_size=starting_batch_size,
            auto_find_batch_size=auto_find_batch_size,
        )
    if not auto_find_batch_size:
        return functools.partial(function, batch_size=starting_batch_size)

    @functools.wraps(function)
    def attempt(*args: Any, **kwargs: Any) -> Any:
        size = starting_batch_size
        while size > 0:
            try:
                return function(size, *args, **kwargs)
            except (torch.OutOfMemoryError, MemoryError) as error:
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
                last = error
                size //= 2
        raise ConfigError("Not even a batch of 1 fits into memory. Use a smaller model or shorter inputs.") from last

    return attempt
