"""TrainingArguments: what a run does, under the guides' names.

Fields that the guides document and this version does not carry out are accepted at their default only; any other
value is a ConfigError, so that nothing is ignored in silence (`unsupported.py`).
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..errors import ConfigError, did_you_mean
from .schedules import SCHEDULES
from .unsupported import NAMES, NotYetSupported, refuse

Interval = Literal["no", "steps", "epoch", False]
"""False is how YAML 1.1 reads a bare `no`; TrainingArguments turns it into "no"."""


@dataclass(frozen=True, init=False)
class TrainingArguments(NotYetSupported):
    """Hyperparameters and habits of a run; names and defaults are the guides'."""

    output_dir: str = "trainer_output"
    num_train_epochs: float = 3.0
    max_steps: int = -1
    """Optimizer steps in all; takes the place of num_train_epochs when positive."""
    per_device_train_batch_size: int = 8
    per_device_eval_batch_size: int = 8
    gradient_accumulation_steps: int = 1
    """Global batch = per device x accumulation x workers. A run that resumes on other workers keeps it."""
    learning_rate: float = 5e-5
    weight_decay: float = 0.0
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = 1e-8
    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm; 0 leaves them."""
    lr_scheduler_type: str = "linear"
    lr_scheduler_kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)
    warmup_ratio: float = 0.0
    warmup_steps: int = 0
    """Takes the place of warmup_ratio when positive."""
    logging_strategy: Interval = "steps"
    logging_steps: float = 500
    """Steps between log lines; below 1 a share of the run."""
    logging_first_step: bool = False
    eval_strategy: Interval = "no"
    eval_steps: float | None = None
    """Steps between evaluations (None: logging_steps); below 1 a share of the run."""
    eval_on_start: bool = False
    save_strategy: Interval = "steps"
    save_steps: float = 500
    save_total_limit: int | None = None
    """Checkpoints to keep; the newest and the best are never deleted."""
    seed: int = 42
    data_seed: int | None = None
    """Seed of the order of rows; None takes `seed`."""
    bf16: bool = False
    fp16: bool = False
    use_cpu: bool = False
    gradient_checkpointing: bool = False
    dataloader_drop_last: bool = False
    dataloader_prefetch_factor: int | None = None
    """Blocks that Ray Data fetches ahead; None takes 2."""
    dataloader_pin_memory: bool = True
    label_names: list[str] | None = None
    report_to: str | list[str] = "all"
    """`all`, `none`, or names of trackers (`mlflow`)."""
    run_name: str | None = None
    disable_tqdm: bool = False
    """True prints no progress."""
    load_best_model_at_end: bool = False
    metric_for_best_model: str | None = None
    """With or without the prefix eval_; None takes the loss."""
    greater_is_better: bool | None = None
    """None: a metric whose name ends in "loss" is better when smaller."""
    resume_from_checkpoint: str | bool | None = None
    """A checkpoint folder, or true for the newest whole one below output_dir."""

    def __init__(self, output_dir: str | Path | None = None, **fields: Any) -> None:
        allowed = {field.name: field for field in dataclasses.fields(type(self))}
        if output_dir is not None:
            fields["output_dir"] = str(output_dir)
        fields = _old_names(fields)
        for name, value in fields.items():
            if name not in allowed:
                hint = did_you_mean(name, allowed)
                raise ConfigError(f"TrainingArguments has no field {name!r} (given {value!r}). {hint}")
            if name in NAMES:
                refuse(name, value)
        for name, field in allowed.items():
            default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
            object.__setattr__(self, name, fields.get(name, default))
        self._check()

    def _check(self) -> None:
        for name in ("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; give a whole number of at least 1.")
        for name in ("learning_rate", "weight_decay", "max_grad_norm", "warmup_steps", "num_train_epochs"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ConfigError(f"{name} is {getattr(self, name)}; give a finite number of at least 0.")
        for name in ("logging_steps", "save_steps", "eval_steps"):
            if getattr(self, name) is not None and getattr(self, name) <= 0:
                raise ConfigError(
                    f"{name} is {getattr(self, name)}; give a number of steps, or a share between 0 and 1."
                )
        if not 0 <= self.warmup_ratio <= 1:
            raise ConfigError(f"warmup_ratio is {self.warmup_ratio}; give a share between 0 and 1.")
        if self.save_total_limit is not None and self.save_total_limit < 1:
            raise ConfigError(
                f"save_total_limit is {self.save_total_limit}; give at least 1, or leave it out to keep all."
            )
        if self.lr_scheduler_type not in SCHEDULES:
            raise ConfigError(
                f"lr_scheduler_type is {self.lr_scheduler_type!r}. {did_you_mean(self.lr_scheduler_type, SCHEDULES)}"
            )
        if self.bf16 and self.fp16:
            raise ConfigError("bf16 and fp16 are both true; choose one (bf16 needs no loss scaling).")
        self._check_best()

    def _check_best(self) -> None:
        if not self.load_best_model_at_end:
            return
        if self.eval_strategy == "no" or self.eval_strategy != self.save_strategy:
            raise ConfigError(
                f"load_best_model_at_end needs equal eval_strategy and save_strategy other than 'no', "
                f"so that the best weights are on disk; given {self.eval_strategy!r} and {self.save_strategy!r}."
            )
        if self.eval_strategy == "steps" and self.save_steps % (self.eval_steps or self.logging_steps):
            raise ConfigError(
                f"load_best_model_at_end needs save_steps ({self.save_steps}) to be a multiple of "
                f"eval_steps ({self.eval_steps or self.logging_steps})."
            )

    @property
    def order_seed(self) -> int:
        """The seed of the order of rows."""
        return self.seed if self.data_seed is None else self.data_seed

    @property
    def best_metric(self) -> str:
        """Name of the metric that ranks checkpoints, with its prefix."""
        name = self.metric_for_best_model or "loss"
        return name if name.startswith("eval_") else f"eval_{name}"

    @property
    def best_is_greatest(self) -> bool:
        """True when a greater metric is better."""
        return not self.best_metric.endswith("loss") if self.greater_is_better is None else self.greater_is_better

    def total_steps(self, steps_per_epoch: int) -> int:
        """Optimizer steps of the run."""
        return self.max_steps if self.max_steps > 0 else math.ceil(self.num_train_epochs * steps_per_epoch)

    def get_warmup_steps(self, num_training_steps: int) -> int:
        """Steps of the linear warm-up."""
        return self.warmup_steps if self.warmup_steps > 0 else math.ceil(num_training_steps * self.warmup_ratio)

    def to_dict(self) -> dict[str, Any]:
        """The fields that this version carries out, as plain values."""
        return {name: value for name, value in super().to_dict().items() if name not in NAMES}

    def to_json_string(self) -> str:
        """All fields as JSON."""
        return json.dumps(self.to_dict(), indent=2)


def _old_names(fields: dict[str, Any]) -> dict[str, Any]:
    """Accept spellings that other versions of the guides use."""
    renamed = {"evaluation_strategy": "eval_strategy", "no_cuda": "use_cpu"}
    fields = {renamed.get(name, name): value for name, value in fields.items()}
    for name in ("logging_strategy", "eval_strategy", "save_strategy", "lr_scheduler_type"):
        value = fields.get(name)
        if value is False:  # YAML 1.1 reads a bare `no` as false
            fields[name] = "no"
        elif value is not None and not isinstance(value, str):
            fields[name] = getattr(value, "value", value)
        if name.endswith("_strategy") and fields.get(name, "no") not in ("no", "steps", "epoch"):
            raise ConfigError(f"{name} is {fields[name]!r}; allowed: 'no', 'steps', 'epoch'.")
    return fields
