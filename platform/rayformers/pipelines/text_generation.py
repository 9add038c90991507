"""text-generation: how a text, or a chat, goes on."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

import torch

from ..errors import InputError, InputTypeError
from .base import Parameters
from .generative import GenerativePipeline


class ReturnType(Enum):
    """What a generated answer holds: token ids, the new text, or prompt and new text."""

    TENSORS = 0
    NEW_TEXT = 1
    FULL_TEXT = 2


class Chat:
    """A list of {"role", "content"} messages.

    Raises:
        InputTypeError: a message lacks one of the two.
    """

    def __init__(self, messages: Any) -> None:
        for message in messages:
            if not isinstance(message, Mapping) or not {"role", "content"} <= set(message):
                raise InputTypeError(f"A chat message is {message!r}; expected a dict with 'role' and 'content'.")
        self.messages = list(messages)

    @property
    def continues(self) -> bool:
        """Whether the last message is the assistant's, which is then continued."""
        return bool(self.messages) and self.messages[-1]["role"] == "assistant"


class TextGenerationPipeline(GenerativePipeline):
    """Texts or chats to [{"generated_text"}] (guide: tasks/language_modeling, conversational)."""

    task_defaults = {"max_new_tokens": 256, "do_sample": True, "temperature": 0.7}  # noqa: RUF012

    @property
    def padding_side(self) -> str:
        """Prompts end where the new text begins."""
        return "left"

    def _is_many(self, inputs: Any, pre: dict[str, Any]) -> bool:
        return not _is_chat(inputs)

    def _sanitize_parameters(
        self,
        return_full_text: bool | None = None,
        return_tensors: bool | None = None,
        return_text: bool | None = None,
        return_type: ReturnType | None = None,
        clean_up_tokenization_spaces: bool | None = None,
        prefix: str | None = None,
        handle_long_generation: str | None = None,
        stop_sequence: str | None = None,
        truncation: Any = None,
        max_length: int | None = None,
        continue_final_message: bool | None = None,
        skip_special_tokens: bool | None = None,
        add_special_tokens: bool | None = None,
        padding: Any = None,
        tokenizer_encode_kwargs: dict[str, Any] | None = None,
        tools: Any = None,
        documents: Any = None,
        **generate: Any,
    ) -> Parameters:
        if handle_long_generation not in (None, "hole"):
            raise InputError(f"handle_long_generation is {handle_long_generation!r}; expected None or 'hole'.")
        if max_length is not None:
            generate["max_length"] = max_length
        if stop_sequence is not None:
            generate["eos_token_id"] = self.tokenizer.encode(stop_sequence, add_special_tokens=False)
        pre = {
            "prefix": prefix, "handle_long_generation": handle_long_generation, "truncation": truncation,
            "max_length": max_length, "continue_final_message": continue_final_message, "padding": padding,
            "add_special_tokens": add_special_tokens, "tools": tools, "documents": documents,
            "new_tokens": generate.get("max_new_tokens"), **(tokenizer_encode_kwargs or {}),
        }  # fmt: skip
        post = {
            "return_type": _return_type(return_full_text, return_tensors, return_text, return_type),
            "clean_up_tokenization_spaces": clean_up_tokenization_spaces, "skip_special_tokens": skip_special_tokens,
            "continue_final_message": continue_final_message,
        }  # fmt: skip
        return _given(pre), generate, _given(post)

    def preprocess(
        self,
        inputs: Any,
        prefix: str | None = None,
        handle_long_generation: str | None = None,
        continue_final_message: bool | None = None,
        new_tokens: int | None = None,
        tools: Any = None,
        documents: Any = None,
        **options: Any,
    ) -> dict[str, Any]:
        if _is_chat(inputs) or isinstance(inputs, Chat):
            prompt: Any = inputs if isinstance(inputs, Chat) else Chat(inputs)
            goes_on = prompt.continues if continue_final_message is None else continue_final_message
            options.pop("add_special_tokens", None)
            encoded = self.tokenizer.apply_chat_template(
                prompt.messages, add_generation_prompt=not goes_on, continue_final_message=goes_on, tools=tools,
                documents=documents, return_dict=True, return_tensors="pt", **options,
            )  # fmt: skip
        elif isinstance(inputs, str):
            prompt = inputs
            text = (self.prefix if prefix is None else prefix) or ""
            encoded = self.tokenizer(text + inputs, return_tensors="pt", **options)
        else:
            raise InputTypeError(f"text-generation takes text or a chat; it got {type(inputs).__name__}.")
        unit = {**encoded, "prompt": prompt}
        return self._shortened(unit, new_tokens) if handle_long_generation == "hole" else unit

    def _shortened(self, unit: dict[str, Any], new_tokens: int | None) -> dict[str, Any]:
        """Drop the beginning of a prompt that would not leave room for the new tokens."""
        length = unit["input_ids"].shape[-1]
        wanted = new_tokens or self.generation_config.max_new_tokens or self.generation_config.max_length - length
        if wanted < 0:
            raise InputError(f"The prompt's {length} tokens exceed max_length; pass max_new_tokens.")
        limit = self.tokenizer.model_max_length
        if length + wanted <= limit:
            return unit
        kept = limit - wanted
        if kept <= 0:
            raise InputError(f"{wanted} new tokens leave no room for a prompt in the model's {limit}. Ask for fewer.")
        names = ("input_ids", "attention_mask")
        return unit | {name: unit[name][:, -kept:] for name in names if name in unit}

    def _forward(self, model_inputs: dict[str, Any], **options: Any) -> Any:
        ids, mask = model_inputs["input_ids"], model_inputs.get("attention_mask")
        rows = len(ids)
        inputs = {"input_ids": ids, "attention_mask": mask} if ids.shape[1] else {}
        sequences = self.generate({k: v for k, v in inputs.items() if v is not None}, options)
        return {
            "sequences": sequences,
            "input_ids": ids,
            "kept": torch.full((rows,), ids.shape[1]),
            "prompt": model_inputs["prompt"],
        }

    def postprocess(
        self,
        model_outputs: Any,
        return_type: ReturnType = ReturnType.FULL_TEXT,
        clean_up_tokenization_spaces: bool = True,
        continue_final_message: bool | None = None,
        skip_special_tokens: bool = True,
    ) -> Any:
        prompt, padded = model_outputs["prompt"], int(model_outputs["kept"][0])
        own = model_outputs["input_ids"].shape[1]
        records = []
        for sequence in model_outputs["sequences"][0].tolist():
            ids = sequence[padded - own :]  # without the padding that the batch put in front
            if return_type is ReturnType.TENSORS:
                records.append({"generated_token_ids": ids})
                continue
            options = {
                "skip_special_tokens": skip_special_tokens, "clean_up_tokenization_spaces": clean_up_tokenization_spaces
            }  # fmt: skip
            start = len(self.tokenizer.decode(model_outputs["input_ids"][0].tolist(), **options)) if own else 0
            text = self.tokenizer.decode(ids, **options)[start:]
            if return_type is ReturnType.FULL_TEXT:
                text = self._with_prompt(prompt, text, continue_final_message)
            records.append({"generated_text": text})
        return records

    def _with_prompt(self, prompt: Any, text: str, continue_final_message: bool | None) -> Any:
        if isinstance(prompt, str):
            return prompt + text
        goes_on = prompt.continues if continue_final_message is None else continue_final_message
        if not goes_on:
            return [*prompt.messages, {"role": "assistant", "content": text}]
        last = prompt.messages[-1]
        return [*prompt.messages[:-1], {"role": last["role"], "content": last["content"] + text}]


def _is_chat(inputs: Any) -> bool:
    return isinstance(inputs, (list, tuple)) and bool(inputs) and isinstance(inputs[0], Mapping)


def _return_type(full_text: bool | None, tensors: bool | None, text: bool | None, given: ReturnType | None) -> Any:
    if full_text is not None and given is None:
        if text is not None or tensors is not None:
            raise InputError("return_full_text cannot be combined with return_text or return_tensors.")
        return ReturnType.FULL_TEXT if full_text else ReturnType.NEW_TEXT
    if tensors is not None and given is None:
        if text is not None:
            raise InputError("return_text cannot be combined with return_tensors.")
        return ReturnType.TENSORS
    return given


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
