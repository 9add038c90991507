"""apply_chat_template of tokenizers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import InputError, InputTypeError
from .batch_encoding import BatchEncoding
from .chat_template import Spans, choose_template, render_chats


class ChatMixin:
    """Chats to texts and model inputs, for a class with `chat_template` and a call."""

    chat_template: str | dict[str, str] | None

    def get_chat_template(self, chat_template: str | None = None, tools: Sequence[Any] | None = None) -> str:
        """The template that `apply_chat_template` would use.

        Raises:
            InputError: there is none, or several without a default.
        """
        return choose_template(self.chat_template, chat_template, tools)

    def apply_chat_template(
        self,
        conversation: Any,
        tools: Sequence[Any] | None = None,
        documents: Sequence[Mapping[str, Any]] | None = None,
        chat_template: str | None = None,
        add_generation_prompt: bool = False,
        continue_final_message: bool = False,
        tokenize: bool = True,
        padding: Any = False,
        truncation: Any = False,
        max_length: int | None = None,
        return_tensors: Any = None,
        return_dict: bool = False,
        return_assistant_tokens_mask: bool = False,
        tokenizer_kwargs: Mapping[str, Any] | None = None,
        **variables: Any,
    ) -> Any:
        """A chat (a list of {"role", "content"}), or a batch of chats, as token ids.

        Args:
            tools: functions with docstrings and type hints, or their JSON schemas.
            documents: dicts for templates that answer from documents.
            chat_template: a template, or the name of one of several.
            add_generation_prompt: end with the words that open an assistant's turn.
            continue_final_message: leave the last message open, so that the model goes on with it.
            tokenize: False returns text.
            return_dict: return model inputs instead of ids alone.
            return_assistant_tokens_mask: add `assistant_masks`: 1 for tokens within the template's generation blocks.
            tokenizer_kwargs: further options of the tokenizer's call.
            variables: further variables of the template.

        Raises:
            InputError: no template, a chat that the template refuses, or options that exclude each other.
        """
        if return_dict and not tokenize:
            raise InputError("return_dict=True returns tokens: it cannot be combined with tokenize=False")
        if return_assistant_tokens_mask and not return_dict:
            raise InputError("return_assistant_tokens_mask=True needs return_dict=True")
        if continue_final_message and add_generation_prompt:
            raise InputError("continue_final_message and add_generation_prompt exclude each other")
        if continue_final_message and return_assistant_tokens_mask:
            raise InputError("continue_final_message and return_assistant_tokens_mask exclude each other")
        chats, batched = _chats(conversation)
        template = self.get_chat_template(chat_template, tools)
        if return_assistant_tokens_mask and "generation" not in template:
            self.log_once("This chat template has no {% generation %} blocks: the assistant mask is 0 everywhere.")  # type: ignore[attr-defined]
        texts, spans = render_chats(
            chats,
            template,
            tools=tools,
            documents=documents,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=continue_final_message,
            mark_assistant=return_assistant_tokens_mask,
            **{**self.special_tokens_map, **variables},  # type: ignore[attr-defined]
        )
        if not tokenize:
            return texts if batched else texts[0]
        encoded = self(  # type: ignore[operator]
            texts if batched else texts[0],
            padding=padding,
            truncation=truncation,
            max_length=max_length,
            add_special_tokens=False,
            return_tensors=return_tensors,
            **(tokenizer_kwargs or {}),
        )
        if not return_dict:
            return encoded["input_ids"]
        if return_assistant_tokens_mask:
            rows = encoded["input_ids"] if batched or return_tensors is not None else [encoded["input_ids"]]
            masks = [_mask(encoded, index, len(row), spans[index]) for index, row in enumerate(rows)]
            encoded["assistant_masks"] = masks if batched or return_tensors is not None else masks[0]
            encoded.convert_to_tensors(return_tensors)
        return encoded


def _chats(conversation: Any) -> tuple[list[Any], bool]:
    """The chats, and whether a batch was given; a chat is a list of messages or an object with `messages`."""
    conversation = getattr(conversation, "messages", conversation)
    if not isinstance(conversation, list | tuple):
        raise InputTypeError(f"A chat is a list of messages (dicts with role and content), not {conversation!r:.80}")
    if not conversation:
        raise InputError("The chat is empty: give at least one message, {'role': 'user', 'content': ...}")
    batched = isinstance(conversation[0], list | tuple) or hasattr(conversation[0], "messages")
    chats: list[Any] = [getattr(chat, "messages", chat) for chat in conversation] if batched else [conversation]
    for chat in chats:
        wrong = next((message for message in chat if not isinstance(message, Mapping)), None)
        if wrong is not None:
            raise InputTypeError(f"A message is a dict with role and content, not {wrong!r:.80}")
    return chats, batched


def _mask(encoded: BatchEncoding, row: int, length: int, spans: Spans) -> list[int]:
    """1 for the tokens within `spans` (characters of the rendered text)."""
    mask = [0] * length
    offsets = encoded[row].offsets
    for start, end in spans:
        # A character may be several tokens (bytes), and a token may reach beyond the span: overlap decides.
        for token, (first, last) in enumerate(offsets):
            if first < last and first < end and last > start:
                mask[token] = 1
    return mask
