"""The one line that explains why a deployment failed, out of what Ray Serve says about it."""

from __future__ import annotations

import re
from collections.abc import Iterable

_ERROR_LINE = re.compile(r"^(?:\w+\.)*(?P<kind>\w*(?:Error|Exception|Interrupt|Exit))(?:\([^)]*\))?: (?P<text>.+)$")
# Wrappers that say that something failed and not what.
_WRAPPERS = {"RayTaskError", "RayActorError", "ActorDiedError", "RuntimeError"}


def reason_of(messages: Iterable[str]) -> str:
    """The innermost error's own words in tracebacks, with its continuation lines; else the first message's end."""
    texts = [message.strip() for message in messages if message.strip()]
    fallback = ""
    for text in texts:
        lines = text.splitlines()
        for index in range(len(lines) - 1, -1, -1):
            found = _ERROR_LINE.match(lines[index].strip())
            if not found:
                continue
            words = " ".join([found["text"], *_continuation(lines[index + 1 :])]).strip()
            if found["kind"] not in _WRAPPERS:
                return words
            fallback = fallback or words
    return fallback or (texts[0].splitlines()[-1].strip() if texts else "Ray Serve gives no reason; see its logs.")


def _continuation(lines: list[str]) -> list[str]:
    """Lines that belong to the same message: up to an empty line or the next traceback."""
    kept: list[str] = []
    for line in lines:
        if not line.strip() or line.startswith(("Traceback", "The above", "During", " ")):
            break
        kept.append(line.strip())
    return kept
