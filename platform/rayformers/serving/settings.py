"""The arguments of a served application, as a Serve config file gives them under `args`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..errors import ConfigError, did_you_mean

MEBIBYTE_BYTES = 1024 * 1024


class Strict(BaseModel):
    """Frozen, and an unknown key is an error that names the nearest known one."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _name_unknown_keys(cls, values: Any) -> Any:
        if isinstance(values, dict):
            for key in values:
                if key not in cls.model_fields:
                    raise ValueError(f"{key!r} is not a known key. {did_you_mean(str(key), cls.model_fields)}")
        return values


class Replicas(Strict):
    """How many processes hold the model, what each of them takes, and when there should be more or fewer."""

    min: int = Field(default=1, ge=0, description="Replicas kept when nothing is asked; 0 stops the last when idle.")
    max: int = Field(default=1, ge=1, description="Replicas at most.")
    initial: int | None = Field(default=None, ge=0, description="Replicas at the start; null = min.")
    target_ongoing_requests: float | None = Field(
        default=None, gt=0, description="Requests in flight per replica that autoscaling aims at; null = half a batch."
    )
    upscale_delay_s: float = Field(default=5.0, ge=0, description="Seconds of load before replicas are added.")
    downscale_delay_s: float = Field(default=300.0, ge=0, description="Seconds of calm before replicas are removed.")
    num_cpus: float = Field(default=1.0, ge=0, description="CPUs that Ray reserves for a replica.")
    num_gpus: float | None = Field(default=None, ge=0, description="GPUs per replica; null = 1 on cuda, else 0.")

    @model_validator(mode="after")
    def _check_order(self) -> Replicas:
        if self.min > self.max:
            raise ValueError(f"min is {self.min} and max is {self.max}; min must not be above max.")
        if self.initial is not None and not self.min <= self.initial <= self.max:
            raise ValueError(f"initial is {self.initial}; it must lie between min ({self.min}) and max ({self.max}).")
        return self


class Batching(Strict):
    """The budget of one forward pass. A batch costs its rows times its most expensive row (padding is paid for)."""

    max_batch_cost: int | None = Field(
        default=None,
        ge=1,
        description="Pixels (images) or tokens (text) in a batch at most; null = rows alone limit it.",
    )
    max_batch_rows: int = Field(default=32, ge=1, le=4096, description="Inputs in a batch at most.")
    max_wait_ms: float = Field(
        default=5.0, ge=0, le=1000, description="Milliseconds to wait for requests that are on their way."
    )


class Limits(Strict):
    """What one request may ask for."""

    max_body_bytes: int = Field(default=16 * MEBIBYTE_BYTES, ge=1, description="Bytes of a request body at most.")
    max_pixels: int = Field(default=40_000_000, ge=1, description="Pixels (width x height) of an input image at most.")
    max_inputs: int = Field(default=32, ge=1, description="Inputs in one request at most.")
    max_queued_requests: int = Field(
        default=256, ge=-1, description="Requests that may wait for a replica; more get 503. -1 = no limit."
    )
    deadline_s: float = Field(
        default=60.0, gt=0, description="Seconds from the request's arrival to its answer at most."
    )


class AppArguments(Strict):
    """One model behind one address."""

    model: str = Field(min_length=1, description="A folder, a Hub id, or models:/name@alias.")
    task: str | None = Field(default=None, description="The pipeline's task; null = inferred from the model.")
    device: str | None = Field(
        default=None, description="cpu, cuda, cuda:0, ...; null = cuda if the replica has a GPU."
    )
    dtype: Literal["auto", "float32", "float16", "bfloat16"] | None = Field(
        default=None, description="Type of the weights in memory; null = as stored."
    )
    name: str = Field(
        default="model",
        pattern=r"^[A-Za-z0-9_.\-]+$",
        description="The deployment's name, as Serve and metrics show it.",
    )
    replicas: Replicas = Replicas()
    batching: Batching = Batching()
    limits: Limits = Limits()

    @property
    def max_ongoing_requests(self) -> int:
        """Requests that a replica takes at once: one batch computing, the next filling, and some being decoded."""
        return 2 * self.batching.max_batch_rows + DECODE_THREADS

    @property
    def target_ongoing_requests(self) -> float:
        """Requests in flight per replica that autoscaling aims at."""
        return self.replicas.target_ongoing_requests or max(1.0, self.batching.max_batch_rows / 2)

    @property
    def num_gpus(self) -> float:
        """GPUs that Ray reserves for a replica."""
        if self.replicas.num_gpus is not None:
            return self.replicas.num_gpus
        return 1.0 if (self.device or "").startswith("cuda") else 0.0


DECODE_THREADS = 4
"""Threads of a replica that decode and preprocess inputs while the model computes."""


def parse_arguments(values: Any, where: str = "args") -> AppArguments:
    """Arguments from plain values.

    Raises:
        ConfigError: a key or value is wrong; the message names `where`, the key, the value and what is allowed.
    """
    try:
        return AppArguments.model_validate(values)
    except ValidationError as error:
        raise ConfigError(describe_problems(error, where)) from None


def batching_of(arguments: AppArguments, user_config: Any, where: str = "user_config") -> Batching:
    """The batching in force: the arguments', with what a deployment's `user_config` changes.

    Ray Serve restarts replicas when `args` change and not when `user_config` does.

    Raises:
        ConfigError: a key or value is wrong.
    """
    if not isinstance(user_config, dict) or not set(user_config) <= {"batching"}:
        raise ConfigError(f"{where} is {user_config!r}; expected a mapping with the key 'batching'.")
    changes = user_config.get("batching") or {}
    try:
        return Batching.model_validate(
            arguments.batching.model_dump() | changes if isinstance(changes, dict) else changes
        )
    except ValidationError as error:
        raise ConfigError(describe_problems(error, f"{where}.batching")) from None


def describe_problems(error: ValidationError, where: str) -> str:
    """One line for each problem that pydantic found, with the key's full name."""
    lines = []
    for problem in error.errors(include_url=False):
        key = ".".join([where, *(str(part) for part in problem["loc"])])
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "missing":
            lines.append(f"{key} is required and missing.")
        elif problem["type"] == "value_error":
            lines.append(f"{key}: {message}")
        else:
            lines.append(f"{key} is {problem['input']!r}: {message[0].lower()}{message[1:]}.")
    return "\n".join(lines)
