"""Continuous batching: requests join and leave the running batch between steps.

A step runs one token of every running request; before it, waiting requests are taken in as slots and memory allow,
their prompts in chunks so that those that run are not held up for long.

Shape letters: N running rows, T tokens, V vocabulary.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import ConfigError, InputError, InputTooLargeError, ResourceError
from .fair_queue import FairQueue
from .generate import _lengths, settings
from .inputs import Prepared, Tokens
from .modes import GenerationMode
from .prefill import Prefill, without_padding
from .prefix_store import PrefixStore
from .request import GenerationOutput, Request, RequestCancelledError
from .rules.base import LogitsProcessorList
from .rules.sampling import (
    EpsilonLogitsWarper,
    EtaLogitsWarper,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)
from .select import rules_of, stopping_of
from .slots import Slots

_TEXTLESS = (
    TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper, MinPLogitsWarper, TypicalLogitsWarper,
    EpsilonLogitsWarper, EtaLogitsWarper,
)  # fmt: skip
"""Rules that look at scores only: rows with equal settings share one call."""


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """Limits of an engine."""

    max_slots: int = 32
    """Requests that run at a time."""
    memory_budget_bytes: int | None = None
    """For keys and values of running requests; None: a quarter of what is free on the device (of memory on a CPU)."""
    prefix_budget_bytes: int = 256 * 2**20
    """For beginnings of prompts that are kept for later requests; 0 keeps none."""
    prefill_chunk_tokens: int = 512
    """Tokens of prompts that are run between two steps of the others."""
    max_waiting: int = 10_000
    """Requests that may wait before new ones are refused."""


class Engine:
    """Runs requests to one model.

    Args:
        model: a decoder with a head that generates.
        limits: see EngineSettings.
        tokenizer: for stop_strings.

    Raises:
        ConfigError: the model is an encoder-decoder, or keeps states in place of keys and values.
    """

    def __init__(self, model: Any, limits: EngineSettings | None = None, *, tokenizer: Any = None) -> None:
        names = model.input_names()
        if model.config.is_encoder_decoder or "past_key_values" not in names or not model.can_generate():
            raise ConfigError(
                f"{type(model).__name__} cannot be batched continuously; that takes a decoder with a key-value cache. "
                "Use model.generate."
            )
        self.model, self.limits, self.tokenizer = model, limits or EngineSettings(), tokenizer
        self.waiting: FairQueue[Request] = FairQueue()
        self.slots = Slots(model.device)
        self.prefixes = PrefixStore(self.limits.prefix_budget_bytes)
        self._takes_positions = "position_ids" in names
        self._keeps_logits = "logits_to_keep" in names
        self._budget_tokens = self._tokens_in_budget()
        self._prefilling: Prefill | None = None
        self._numbers = itertools.count()
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False

    def _tokens_in_budget(self) -> int:
        """Positions whose keys and values fit into the budget."""
        config, model = self.model.config.get_text_config(decoder=True), self.model
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self.token_bytes = 2 * config.num_hidden_layers * heads * width * model.dtype.itemsize
        budget = self.limits.memory_budget_bytes
        if budget is None:
            if model.device.type == "cuda":
                free = torch.cuda.mem_get_info(model.device)[0]
            else:
                free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
            budget = free // 4
        return max(1, budget // self.token_bytes)

    # -- submitting -----------------------------------------------------------------------------------------------

    def submit(
        self, input_ids: Sequence[int] | Tensor, generation_config: Any = None, *, request_id: str | None = None,
        client: str = "", seed: int | None = None, streamer: Any = None, logits_processor: list[Any] | None = None,
        stopping_criteria: list[Any] | None = None, **options: Any,
    ) -> Request:  # fmt: skip
        """Add a request.

        Args:
            input_ids: the prompt's token ids, one text.
            generation_config: settings; keywords override them. Greedy search and sampling are possible.
            client: requests of different clients share the engine fairly.
            seed: of sampling: the tokens are those that generate gives alone after torch.manual_seed(seed).
            streamer: with put and end, as generate takes.

        Raises:
            InputError: the prompt is empty or no list of token ids.
            InputTooLargeError: it can never fit.
            ResourceError: too many requests wait.
        """
        prompt = _prompt(input_ids)
        config, unknown = settings(self.model, generation_config, options)
        if unknown:
            raise InputError(f"Continuous batching does not know {sorted(unknown)}; it takes generation parameters.")
        if config.get_generation_mode() not in (GenerationMode.GREEDY_SEARCH, GenerationMode.SAMPLE):
            raise ConfigError("Continuous batching runs greedy search and sampling. Set num_beams=1; or use generate.")
        if config.num_return_sequences > 1 or config.guidance_scale not in (None, 1):
            raise ConfigError("In continuous batching, num_return_sequences must be 1 and guidance_scale unset.")
        ids = torch.tensor([prompt], device=self.model.device)
        prepared = Prepared(ids, {}, ids, 1)
        _lengths(self.model, config, prepared, options.get("max_length") is not None)
        tokens = Tokens.of(config, self.model.device)
        request = Request(
            f"req_{next(self._numbers)}" if request_id is None else request_id, prompt, config,
            rules_of(self.model, config, prepared, tokens, own=logits_processor),
            stopping_of(self.model, config, tokens, stopping_criteria, self.tokenizer),
            client=client, seed=seed, streamer=streamer, device=self.model.device,
        )  # fmt: skip
        if request.need_tokens > self._budget_tokens:
            raise InputTooLargeError(
                f"The request may take {request.need_tokens} positions; the engine has memory for "
                f"{self._budget_tokens}. "
                "Lower max_new_tokens, shorten the prompt, or raise memory_budget_bytes."
            )
        with self._condition:
            if len(self.waiting) >= self.limits.max_waiting:
                raise ResourceError(f"{self.limits.max_waiting} requests wait already. Try again later.")
            self.waiting.put(request, client, cost=request.need_tokens)
            self._condition.notify_all()
        return request

    # -- running --------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def step(self) -> bool:
        """Take in what fits, run one token of everything; whether anything is left to do."""
        self._drop_cancelled()
        self._take_in()
        if self.slots.owners:
            self._decode()
        with self._condition:
            return bool(self.slots.owners or self._prefilling or len(self.waiting))

    def run(self) -> None:
        """Step until nothing is left to do."""
        while self.step():
            pass

    def start(self) -> None:
        """Run in a thread of its own until `stop`."""
        if self._thread is None:
            self._closing = False
            self._thread = threading.Thread(target=self._serve, name="continuous-batching", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread; requests that are not done are cancelled."""
        thread = self._thread
        if thread is None:
            return
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        thread.join()
        self._thread = None

    def _serve(self) -> None:
        try:
            while True:
                with self._condition:
                    while not (self._closing or self.slots.owners or self._prefilling or len(self.waiting)):
                        self._condition.wait()
                    if self._closing:
                        break
                self.step()
        except BaseException as error:
            self._close_all("failed", error)
            raise
        self._close_all("cancelled", RequestCancelledError("The engine was stopped."))

    def _close_all(self, status: str, error: BaseException) -> None:
        with self._condition:
            left = [*self.slots.owners, *(self._prefilling.requests if self._prefilling else []), *self.waiting]
            self.slots, self.waiting, self._prefilling = Slots(self.model.device), FairQueue(), None
        for request in left:
            request.close(status, error)

    def _drop_cancelled(self) -> None:
        with self._condition:
            gone = [request for request in self.waiting if request.cancelled]
            for request in gone:
                self.waiting.drop(request)
        for row in reversed(range(len(self.slots))):
            if self.slots.owners[row].cancelled:
                gone.append(self.slots.leave(row))
        for request in gone:
            request.close("cancelled", RequestCancelledError(f"Request {request.request_id!r} was cancelled."))

    # -- prompts --------------------------------------------------------------------------------------------------

    def _take_in(self) -> None:
        """Run a chunk of waiting prompts; those that are complete join the running batch."""
        budget = self.limits.prefill_chunk_tokens
        while budget > 0:
            if self._prefilling is None:
                chosen = self._admit(budget)
                if not chosen:
                    return
                self._prefilling = Prefill(self.model, chosen, self.prefixes, self._takes_positions)
            prefill = self._prefilling
            budget -= prefill.advance(budget, self._keeps_logits)
            if prefill.logits is None:
                continue
            self._prefilling = None
            chosen_tokens = self._choose(prefill.logits, prefill.requests)
            for row, (request, token) in enumerate(zip(prefill.requests, chosen_tokens, strict=True)):
                layers = prefill.layers(row)
                self.prefixes.keep(request.prompt, without_padding(layers, len(request.prompt)))
                if request.cancelled:
                    request.close("cancelled", RequestCancelledError(f"Request {request.request_id!r} was cancelled."))
                elif request.take(token):
                    request.close()
                else:
                    self.slots.join(request, layers, len(request.prompt))

    def _admit(self, budget: int) -> list[Request]:
        """Waiting requests that there is room for and whose prompts run together within the budget.

        Room is what all of them may take at most, so that no running request is ever thrown out.
        """
        chosen: list[Request] = []
        with self._condition:
            running = list(self.slots.owners)
            while len(self.waiting) and len(running) + len(chosen) < self.limits.max_slots:
                request = self.waiting.peek()
                together = [*running, *chosen, request]
                if len(together) * max(r.need_tokens for r in together) > self._budget_tokens and len(together) > 1:
                    break
                known = self.prefixes.known(request.prompt)
                longest = max(len(r.prompt) for r in [*chosen, request])
                if chosen and (known or (len(chosen) + 1) * longest > budget):
                    break
                chosen.append(self.waiting.get())
                if known:
                    break  # it starts elsewhere than the others: it runs alone
        return chosen

    # -- tokens ---------------------------------------------------------------------------------------------------

    def _decode(self) -> None:
        slots = self.slots
        inputs = slots.inputs()
        if not self._takes_positions:
            del inputs["position_ids"]
            if inputs["attention_mask"] is None:
                del inputs["attention_mask"]
        ids = torch.tensor([[request.tokens[-1]] for request in slots.owners], device=slots.device)
        logits = self.model(input_ids=ids, use_cache=True, return_dict=True, **inputs).logits[:, -1].float()
        slots.stepped()
        requests = list(slots.owners)
        finished = [request.take(t) for request, t in zip(requests, self._choose(logits, requests), strict=True)]
        for row in reversed(range(len(requests))):
            if finished[row]:
                slots.leave(row).close()

    def _choose(self, logits: Tensor, requests: list[Request]) -> list[int]:
        """The next token of each request from scores [N, V]."""
        scores = self._processed(logits, requests)
        tokens = scores.argmax(-1)
        drawn = [row for row, request in enumerate(requests) if request.config.do_sample]
        if drawn:
            probabilities = scores[drawn].softmax(-1)
            for place, row in enumerate(drawn):  # each from its own stream of random numbers
                generator = requests[row].generator
                tokens[row] = torch.multinomial(probabilities[place : place + 1], 1, generator=generator)[0, 0]
        return tokens.tolist()  # type: ignore[no-any-return]

    def _processed(self, logits: Tensor, requests: list[Request]) -> Tensor:
        groups: dict[Any, list[int]] = {}
        for row, request in enumerate(requests):
            if not request.rules:
                continue
            alike = all(type(rule) in _TEXTLESS for rule in request.rules)
            groups.setdefault(_signature(request.rules) if alike else ("own", row), []).append(row)
        for rows in groups.values():
            request = requests[rows[0]]
            ids = request.ids(logits.device) if len(rows) == 1 else logits.new_zeros(len(rows), 1).long()
            if len(rows) == len(logits):
                return request.rules(ids, logits)  # type: ignore[no-any-return]
            logits[rows] = request.rules(ids, logits[rows])
        return logits


def _signature(rules: LogitsProcessorList) -> tuple[Any, ...]:
    return tuple((type(rule), *sorted(vars(rule).items())) for rule in rules)


def _prompt(input_ids: Any) -> list[int]:
    tokens = input_ids.tolist() if isinstance(input_ids, Tensor) else list(input_ids)
    if len(tokens) == 1 and isinstance(tokens[0], list):
        tokens = tokens[0]
    if not tokens:
        raise InputError("The prompt is empty. Give at least one token.")
    if not all(isinstance(token, int) and not isinstance(token, bool) and token >= 0 for token in tokens):
        raise InputError("A prompt is a list of token ids (whole numbers >= 0) of one text; use a tokenizer.")
    return tokens


def generate_batch(
    model: Any, inputs: Iterable[Sequence[int] | Tensor], generation_config: Any = None, *,
    limits: EngineSettings | None = None, tokenizer: Any = None, seed: int | None = None, **options: Any,
) -> dict[str, GenerationOutput]:  # fmt: skip
    """Generate for many prompts of uneven length.

    Args:
        inputs: token ids of each prompt, without padding.
        generation_config: settings for all; keywords override them.
        limits: of the engine.
        tokenizer: for stop_strings.
        seed: of sampling; prompt number i has the seed seed + i.

    Returns:
        A GenerationOutput for each prompt, by "req_0", "req_1", ...

    Raises:
        InputError, ConfigError: before anything is run.
    """
    engine = Engine(model, limits, tokenizer=tokenizer)
    requests = [
        engine.submit(prompt, generation_config, seed=None if seed is None else seed + number, **options)
        for number, prompt in enumerate(inputs)
    ]
    engine.run()
    return {request.request_id: request.result() for request in requests}
