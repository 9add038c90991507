"""Streamers: text as soon as it is generated (guide: internal/generation_utils)."""

from __future__ import annotations

import asyncio
from queue import Empty, Queue
from typing import Any, Self

from torch import Tensor

from ..errors import InputError

_CJK = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip
"""Unicode blocks of ideographs: each is a word of its own, printed without waiting for a space."""


class BaseStreamer:
    """What `generate(streamer=...)` calls."""

    def put(self, value: Tensor) -> None:
        """Take new tokens: first the prompt [1, T], then each token [1]."""
        raise NotImplementedError

    def end(self) -> None:
        """Take note that generation is over."""
        raise NotImplementedError


class TextStreamer(BaseStreamer):
    """Prints the text word by word.

    Args:
        tokenizer: decodes.
        skip_prompt: leave the prompt out.
        decode_kwargs: for the tokenizer's decode (skip_special_tokens, ...).
    """

    def __init__(self, tokenizer: Any, skip_prompt: bool = False, **decode_kwargs: Any) -> None:
        self.tokenizer, self.skip_prompt, self.decode_kwargs = tokenizer, skip_prompt, decode_kwargs
        self._tokens: list[int] = []
        self._printed = 0
        self._prompt_next = True

    def put(self, value: Tensor) -> None:
        if value.ndim > 1:
            if len(value) > 1:
                raise InputError(f"A streamer takes one text at a time; the batch has {len(value)}.")
            value = value[0]
        prompt, self._prompt_next = self._prompt_next, False
        if prompt and self.skip_prompt:
            return
        self._tokens.extend(value.tolist())
        text = self.tokenizer.decode(self._tokens, **self.decode_kwargs)
        if text.endswith("\n"):
            self._tokens, start, self._printed = [], self._printed, 0
            self.on_finalized_text(text[start:])
            return
        whole = len(text) if text and _is_ideograph(text[-1]) else text.rfind(" ") + 1
        ready = text[self._printed : whole]
        self._printed += len(ready)
        self.on_finalized_text(ready)

    def end(self) -> None:
        rest = self.tokenizer.decode(self._tokens, **self.decode_kwargs)[self._printed :] if self._tokens else ""
        self._tokens, self._printed, self._prompt_next = [], 0, True
        self.on_finalized_text(rest, stream_end=True)

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Print text that will not change any more, at the end with a new line."""
        print(text, flush=True, end="\n" if stream_end else "")  # noqa: T201 - printing is what it is for


def _is_ideograph(character: str) -> bool:
    return any(low <= ord(character) <= high for low, high in _CJK)


class TextIteratorStreamer(TextStreamer):
    """Gives the text word by word to another thread that iterates.

    Args:
        timeout: seconds that the iterator waits for the next piece before queue.Empty; None waits for ever.
    """

    def __init__(
        self, tokenizer: Any, skip_prompt: bool = False, timeout: float | None = None, **decode_kwargs: Any
    ) -> None:
        super().__init__(tokenizer, skip_prompt, **decode_kwargs)
        self.text_queue: Queue[str | None] = Queue()
        self.stop_signal: str | None = None
        self.timeout = timeout

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        self.text_queue.put(text, timeout=self.timeout)
        if stream_end:
            self.text_queue.put(self.stop_signal, timeout=self.timeout)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        value = self.text_queue.get(timeout=self.timeout)
        if value == self.stop_signal:
            raise StopIteration
        assert value is not None
        return value


class AsyncTextIteratorStreamer(TextStreamer):
    """Gives the text word by word to `async for` in the event loop where it was made.

    Args:
        timeout: seconds to wait for the next piece before TimeoutError; None waits for ever.
    """

    def __init__(
        self, tokenizer: Any, skip_prompt: bool = False, timeout: float | None = None, **decode_kwargs: Any
    ) -> None:
        super().__init__(tokenizer, skip_prompt, **decode_kwargs)
        self.text_queue: asyncio.Queue[str | None] = asyncio.Queue()
        self.stop_signal: str | None = None
        self.timeout = timeout
        self.loop = asyncio.get_running_loop()

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        self.loop.call_soon_threadsafe(self.text_queue.put_nowait, text)
        if stream_end:
            self.loop.call_soon_threadsafe(self.text_queue.put_nowait, self.stop_signal)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        async with asyncio.timeout(self.timeout):
            value = await self.text_queue.get()
        if value == self.stop_signal:
            raise StopAsyncIteration
        assert value is not None
        return value


__all__ = ["AsyncTextIteratorStreamer", "BaseStreamer", "Empty", "TextIteratorStreamer", "TextStreamer"]
