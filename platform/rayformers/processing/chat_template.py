"""Chats to text through Jinja templates, which come from the Hub and are therefore sandboxed."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from ..errors import InputError, InputTypeError, did_you_mean
from .tool_schema import get_json_schema

Spans = list[tuple[int, int]]

# Noncharacters, which Unicode reserves for internal use, fence the assistant's words while a chat is rendered.
OPEN, CLOSE = "\ufdd0", "\ufdd1"


def _environment() -> Any:
    import jinja2.ext
    from jinja2 import nodes
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(jinja2.ext.Extension):
        """`{% generation %}...{% endgeneration %}`: remembers where in the text the assistant's words are."""

        tags = {"generation"}  # noqa: RUF012  Jinja reads it from the class

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            call = self.call_method("_note", [nodes.ContextReference()])
            return nodes.CallBlock(call, [], [], body).set_lineno(line)

        def _note(self, context: Any, caller: Callable[[], str]) -> str:
            # A block does not know how much text precedes it, so it is fenced, and render_chats takes the fences away.
            return f"{OPEN}{caller()}{CLOSE}" if context.get("__fences__") else caller()

    def tojson(
        value: Any,
        ensure_ascii: bool = False,
        indent: int | None = None,
        separators: Any = None,
        sort_keys: bool = False,
    ) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def raise_exception(message: str) -> None:
        raise jinja2.exceptions.TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda pattern: datetime.datetime.now().strftime(pattern)
    return environment


@lru_cache(maxsize=128)
def compile_template(template: str) -> Any:
    """The compiled template.

    Raises:
        InputError: it is no valid template; the message names the line.
    """
    import jinja2

    try:
        return _environment().from_string(template)
    except jinja2.TemplateSyntaxError as error:
        raise InputError(
            f"The chat template is no valid Jinja template: {error.message} (line {error.lineno})"
        ) from error


def render_chats(
    chats: Sequence[Sequence[Mapping[str, Any]]],
    template: str,
    *,
    tools: Sequence[Any] | None = None,
    documents: Sequence[Mapping[str, Any]] | None = None,
    add_generation_prompt: bool = False,
    continue_final_message: bool = False,
    mark_assistant: bool = False,
    **variables: Any,
) -> tuple[list[str], list[Spans]]:
    """The text of each chat, and where in it the template's generation blocks are (empty unless `mark_assistant`).

    Raises:
        InputError: the template refuses the chat, or the last message cannot be continued.
    """
    import jinja2

    compiled = compile_template(template)
    shared = {
        "tools": tool_schemas(tools),
        "documents": _check_documents(documents),
        "add_generation_prompt": add_generation_prompt,
        **variables,
    }
    texts, spans = [], []
    for chat in chats:
        try:
            text = compiled.render(messages=chat, __fences__=mark_assistant, **shared)
        except (jinja2.TemplateError, TypeError, ValueError, LookupError, ArithmeticError) as error:
            raise InputError(f"The chat template refused this chat: {error}") from error
        text, found = _unfence(text) if mark_assistant else (text, [])
        texts.append(_cut_after_final_message(text, chat) if continue_final_message else text)
        spans.append(found)
    return texts, spans


def _unfence(text: str) -> tuple[str, Spans]:
    """`text` without its fences, and the spans that they enclosed."""
    parts: list[str] = []
    spans: Spans = []
    length, start = 0, 0
    for part in re.split(f"([{OPEN}{CLOSE}])", text):
        if part == OPEN:
            start = length
        elif part == CLOSE:
            spans.append((start, length))
        else:
            parts.append(part)
            length += len(part)
    return "".join(parts), spans


def _cut_after_final_message(text: str, chat: Sequence[Mapping[str, Any]]) -> str:
    """`text` up to the end of the last message, so that a model goes on with it."""
    content = chat[-1]["content"]
    if isinstance(content, list | tuple):
        pieces = [block["text"] for block in content if isinstance(block, Mapping) and "text" in block]
        if not pieces:
            raise InputError("continue_final_message: the last message has no text to go on with")
        content = pieces[-1]
    place = text.rfind(content.strip())
    if place < 0:
        raise InputError(
            "continue_final_message: the last message does not appear in the formatted chat, because the template "
            "changes or drops it. This template cannot continue a message."
        )
    # Templates that keep trailing whitespace keep it here as well.
    whole = place + len(content.lstrip())
    return text[:whole] if text[place:whole] == content.lstrip() else text[: place + len(content.strip())]


def tool_schemas(tools: Sequence[Any] | None) -> list[Any] | None:
    """The JSON schemas of tools given as schemas or as documented functions."""
    if tools is None:
        return None
    if not isinstance(tools, list | tuple):
        raise InputTypeError(f"tools is a list of functions or JSON schemas, not {type(tools).__name__}")
    schemas = []
    for tool in tools:
        if isinstance(tool, Mapping):
            schemas.append(tool)
        elif callable(tool):
            schemas.append(get_json_schema(tool))
        else:
            raise InputTypeError(f"A tool is a JSON schema (dict) or a function with type hints, not {tool!r}")
    return schemas


def _check_documents(documents: Any) -> Any:
    if documents is not None and not all(isinstance(document, Mapping) for document in documents):
        raise InputTypeError("documents is a list of dicts, such as {'title': ..., 'text': ...}")
    return documents


def choose_template(
    own: str | Mapping[str, str] | None, asked: str | None, tools: Any, owner: str = "This tokenizer"
) -> str:
    """The template to use: a name of one of several, a template itself, else the tokenizer's own.

    Raises:
        InputError: there is none, or several without a default.
    """
    if isinstance(own, Mapping):
        if asked is not None:
            return own.get(asked, asked)
        if tools is not None and "tool_use" in own:
            return own["tool_use"]
        if "default" in own:
            return own["default"]
        raise InputError(
            f"{owner} has several chat templates and no default. Pass chat_template=. {did_you_mean('default', own)}"
        )
    template = asked if asked is not None else own
    if template is None:
        raise InputError(
            f"{owner} has no chat template: it was not trained on chats, or its files lack chat_template.jinja. "
            "Set tokenizer.chat_template, or pass chat_template=."
        )
    if not isinstance(template, str):
        raise InputTypeError(f"A chat template is a string, not {type(template).__name__}")
    return template
