"""One request to the continuous-batching engine: its prompt, its settings, and what it gives."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..errors import RayformersError
from .rules.base import LogitsProcessorList
from .stopping import EosTokenCriteria, MaxLengthCriteria, StoppingCriteriaList


class RequestCancelledError(RayformersError):
    """A request was cancelled before it was done."""

    status = 499


@dataclass
class GenerationOutput:
    """What a request gave."""

    request_id: str
    prompt_ids: list[int]
    generated_tokens: list[int] = field(default_factory=list)
    status: str = "finished"
    """finished, cancelled or failed."""
    finish_reason: str | None = None
    """stop (end of text, stop string, own criterion) or length."""
    error: str | None = None
    created_s: float = 0.0
    """Seconds of time.time()."""
    first_token_s: float | None = None
    """Seconds from the request to its first token."""
    duration_s: float = 0.0


_END = object()


class Request:
    """Handle of a submitted request: iterate over its tokens as they come, or wait for the result.

    Args:
        request_id: name.
        prompt: token ids.
        config: settings, with max_length set.
        rules: of its settings.
        stopping: of its settings.
        client: whom it counts for in the fair queue.
        seed: of its sampling; the same seed gives the same tokens in any batch.
        streamer: takes the prompt and every token.
    """

    def __init__(
        self, request_id: str, prompt: list[int], config: Any, rules: LogitsProcessorList,
        stopping: StoppingCriteriaList, *, client: str = "", seed: int | None = None, streamer: Any = None,
        device: torch.device | None = None,
    ) -> None:  # fmt: skip
        self.request_id, self.config, self.client, self.streamer = request_id, config, client, streamer
        self.rules = rules
        self.ends = {int(i) for c in stopping if isinstance(c, EosTokenCriteria) for i in c.eos_token_id.tolist()}
        self.more_stopping = [c for c in stopping if not isinstance(c, (EosTokenCriteria, MaxLengthCriteria))]
        self.prompt, self.tokens = prompt, list(prompt)
        self.generator: torch.Generator | None = None
        if config.do_sample and seed is not None:
            self.generator = torch.Generator(device=device or "cpu").manual_seed(seed)
        self.output = GenerationOutput(request_id, prompt, created_s=time.time())
        self.cancelled = False
        self._stream: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._done = threading.Event()

    @property
    def need_tokens(self) -> int:
        """Positions that it may take at most."""
        return int(self.config.max_length)

    def ids(self, device: torch.device) -> Tensor:
        """Tokens so far [1, T]."""
        return torch.tensor([self.tokens], device=device)

    # -- for the engine -------------------------------------------------------------------------------------------

    def take(self, token: int) -> bool:
        """Add a token; whether the request is done."""
        self.tokens.append(token)
        self.output.generated_tokens.append(token)
        if self.output.first_token_s is None:
            self.output.first_token_s = time.time() - self.output.created_s
            if self.streamer is not None:
                self.streamer.put(torch.tensor([self.prompt]))
        if self.streamer is not None:
            self.streamer.put(torch.tensor([token]))
        self._stream.put(token)
        if token in self.ends or self._stops():
            self.output.finish_reason = "stop"
        elif len(self.tokens) >= self.config.max_length:
            self.output.finish_reason = "length"
        return self.output.finish_reason is not None

    def _stops(self) -> bool:
        if not self.more_stopping:
            return False
        ids = torch.tensor([self.tokens])
        return any(bool(criterion(ids, None).all()) for criterion in self.more_stopping)

    def close(self, status: str = "finished", error: BaseException | None = None) -> None:
        """Let go of everybody who waits."""
        self.output.status, self.output.error = status, None if error is None else str(error)
        self.output.duration_s = time.time() - self.output.created_s
        self._error = error
        if self.streamer is not None:
            self.streamer.end()
        self._stream.put(_END)
        self._done.set()

    # -- for the caller -------------------------------------------------------------------------------------------

    def cancel(self) -> None:
        """Stop before the next step."""
        self.cancelled = True

    @property
    def done(self) -> bool:
        """Whether it is over."""
        return self._done.is_set()

    def result(self, timeout_s: float | None = None) -> GenerationOutput:
        """Wait for the end.

        Raises:
            TimeoutError: it takes longer.
            RequestCancelledError: it was cancelled.
        """
        if not self._done.wait(timeout_s):
            raise TimeoutError(f"Request {self.request_id!r} is not done after {timeout_s} s.")
        if self._error is not None:
            raise self._error
        return self.output

    def __iter__(self) -> Iterator[int]:
        while (token := self._stream.get()) is not _END:
            yield token
        if self._error is not None:
            raise self._error

    _error: BaseException | None = None
