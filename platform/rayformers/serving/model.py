"""The model side of an endpoint: one pipeline, fed with batches by budget."""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ..errors import InputError, InputTooLargeError, RayformersError
from .batching import Budget, BudgetBatcher
from .media import decode_image
from .metrics import EndpointMetrics
from .protocols.schemas import SCHEMAS, TaskSchema
from .settings import DECODE_THREADS, AppArguments, Batching, Limits

logger = logging.getLogger("rayformers.serving")


@dataclass(frozen=True)
class Work:
    """One unit of an input (most inputs are one unit) and the forward parameters of its request."""

    unit: Any
    forward: dict[str, Any]


def budget_of(batching: Batching) -> Budget:
    """The batcher's budget for an application's arguments."""
    return Budget(
        max_rows=batching.max_batch_rows, max_cost=batching.max_batch_cost, max_wait_s=batching.max_wait_ms / 1000
    )


def schema_of(task: str) -> TaskSchema:
    """The schema of a task or of its alias."""
    from ..pipelines.tasks import find_task

    return SCHEMAS.get(find_task(task)[0].name)


def decode(data: bytes, schema: TaskSchema, limits: Limits) -> Any:
    """A pipeline's input from the bytes of a request."""
    decoders: dict[str, Callable[[], Any]] = {"image": lambda: decode_image(data, max_pixels=limits.max_pixels)}
    return decoders[schema.input]()


class ServedModel:
    """A pipeline that answers lists of items from many requests at once.

    Args:
        pipe: the pipeline.
        arguments: the application's.
        metrics: told of every phase.
    """

    def __init__(self, pipe: Any, arguments: AppArguments, metrics: EndpointMetrics) -> None:
        self.pipe = pipe
        self.schema = schema_of(pipe.task)
        self.arguments = arguments
        self._batching = arguments.batching
        self._metrics = metrics
        self._threads = ThreadPoolExecutor(DECODE_THREADS, thread_name_prefix="decode")
        self._compute_thread = ThreadPoolExecutor(1, thread_name_prefix="compute")
        self._batcher = BudgetBatcher(self._compute, budget_of(arguments.batching), self._compute_thread, metrics)
        metrics.watch_queue(lambda: self._batcher.queue_length)

    @classmethod
    def load(cls, arguments: AppArguments, metrics: EndpointMetrics) -> ServedModel:
        """The model that the arguments name, warmed up with its task's example."""
        import torch

        from ..pipelines import pipeline

        device = arguments.device or ("cuda" if torch.cuda.is_available() else "cpu")
        pipe = pipeline(arguments.task, model=arguments.model, device=device, dtype=arguments.dtype)
        model = cls(pipe, arguments, metrics)
        model.warm_up()
        return model

    def warm_up(self) -> None:
        """Answer the task's example, so that a model that cannot answer takes no request and the first is not slow."""
        self.pipe(decode(self.schema.example, self.schema, self.arguments.limits))

    @property
    def healthy(self) -> bool:
        """False when requests would wait for ever."""
        return self._batcher.alive

    def announce(self) -> Any:
        """A context manager: while entered, an input is on its way, and the batcher may wait for it."""
        return self._batcher.announce()

    def set_batching(self, batching: Batching) -> None:
        """Take a new budget for the batches to come."""
        self._batching = batching
        self._batcher.budget = budget_of(batching)

    async def predict(self, items: list[bytes], parameters: dict[str, Any]) -> list[Any]:
        """An answer for every item, as `pipeline()` gives it; an exception stands where one failed."""
        if len(items) == 1:
            return [await self._answer_or_error(items[0], parameters)]
        return list(await asyncio.gather(*(self._answer_or_error(item, parameters) for item in items)))

    async def _answer_or_error(self, item: bytes, parameters: dict[str, Any]) -> Any:
        try:
            return await self._answer(item, parameters)
        except Exception as error:
            return error

    async def _answer(self, item: bytes, parameters: dict[str, Any]) -> Any:
        loop = asyncio.get_running_loop()
        preprocess, forward, postprocess = self.pipe.call_parameters(parameters)
        with self._batcher.announce(), self._metrics.phase("preprocess"):
            units = await loop.run_in_executor(self._threads, self._prepare, item, preprocess)
        group = tuple(sorted((name, repr(value)) for name, value in forward.items()))
        outputs = await asyncio.gather(
            *(self._batcher.submit(Work(unit, forward), cost=unit.cost, group=(group, unit.key)) for unit in units)
        )
        with self._metrics.phase("postprocess"):
            return await loop.run_in_executor(self._threads, self.pipe.finish, outputs, postprocess)

    def _prepare(self, item: bytes, parameters: Mapping[str, Any]) -> list[Any]:
        """The input's units, each the work of one row of a forward pass."""
        from ..pipelines.batching import Unit

        value = decode(item, self.schema, self.arguments.limits)
        pipe = self.pipe
        try:
            (chunks,) = pipe.preprocess_many([value], **parameters)
            return [Unit(item=0, inputs=one, cost=pipe.cost(one), key=pipe.batch_key(one)) for one in chunks]
        except RayformersError:
            raise
        except MemoryError:
            raise InputTooLargeError(
                "The input does not fit into the memory of the endpoint. Send a smaller one."
            ) from None
        except Exception as error:
            # Preprocessing depends on the input alone, so that whatever it cannot do is the input's doing.
            logger.warning("an input could not be preprocessed", exc_info=True)
            raise InputError(f"The {self.schema.input} could not be preprocessed: {error}") from error

    def _compute(self, work: list[Work]) -> list[Any]:
        """One forward pass for units that can share a batch and have the same forward parameters."""
        outputs: list[Any] = self.pipe.run_together([one.unit for one in work], work[0].forward)
        return outputs

    def info(self) -> dict[str, Any]:
        """What is served: model, task, version, labels, parameters, limits."""
        config = self.pipe.model.config
        labels = getattr(config, "id2label", None) or {}
        return {
            "model": self.arguments.model,
            "task": self.pipe.task,
            "architecture": type(self.pipe.model).__name__,
            "version": importlib.metadata.version("rayformers"),
            "labels": [labels[key] for key in sorted(labels, key=int)],
            "parameters": sorted(self.schema.parameters.__dataclass_fields__),
            "device": str(self.pipe.device),
            "dtype": str(self.pipe.model.dtype).removeprefix("torch."),
            "batching": self._batching.model_dump(),
            "limits": self.arguments.limits.model_dump(),
        }

    async def close(self) -> None:
        """Stop the batcher and the threads."""
        await self._batcher.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._compute_thread.shutdown(wait=False, cancel_futures=True)
