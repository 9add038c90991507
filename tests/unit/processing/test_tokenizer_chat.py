"""Chat templates and the schemas of tools."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from tests.unit.processing.tokenizer_samples import byte_level

from rayformers.errors import InputError, InputTypeError
from rayformers.processing.chat_template import render_chats
from rayformers.processing.tokenizer_models.byte_level import GPT2Tokenizer
from rayformers.processing.tool_schema import get_json_schema

CHATML = (
    "{% for message in messages %}<|{{ message.role }}|>"
    "{% if message.role == 'assistant' %}{% generation %}{{ message.content }}{% endgeneration %}"
    "{% else %}{{ message.content }}{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
CHAT = [
    {"role": "user", "content": "What is it?"},
    {"role": "assistant", "content": "A statement. "},
    {"role": "user", "content": "And Größe?"},
    {"role": "assistant", "content": "Size 😀"},
]


@pytest.fixture
def tokenizer() -> GPT2Tokenizer:
    return GPT2Tokenizer(tokenizer_object=byte_level(), chat_template=CHATML, pad_token="<pad>")


def test_text_ids_and_batches(tokenizer):
    text = tokenizer.apply_chat_template(CHAT[:1], tokenize=False, add_generation_prompt=True)
    assert text == "<|user|>What is it?\n<|assistant|>"
    assert tokenizer.apply_chat_template(CHAT[:1], add_generation_prompt=True) == tokenizer(text)["input_ids"]
    batch = tokenizer.apply_chat_template([CHAT, CHAT[:1]], padding=True, return_dict=True, return_tensors="pt")
    assert batch["input_ids"].shape == batch["attention_mask"].shape
    assert batch["input_ids"].shape[0] == 2


def test_the_assistants_tokens_are_marked(tokenizer):
    encoded = tokenizer.apply_chat_template(CHAT, return_dict=True, return_assistant_tokens_mask=True)
    kept = [index for index, mark in zip(encoded["input_ids"], encoded["assistant_masks"], strict=True) if mark]
    assert tokenizer.decode(kept) == "A statement. Size 😀"
    tokenizer.padding_side = "left"
    batch = tokenizer.apply_chat_template(
        [CHAT[:2], CHAT], return_dict=True, return_assistant_tokens_mask=True, padding=True, return_tensors="np"
    )
    marked = batch["input_ids"][0][batch["assistant_masks"][0] == 1]
    assert tokenizer.decode(marked) == "A statement. "


def test_a_message_is_continued(tokenizer):
    text = tokenizer.apply_chat_template(CHAT[:2], tokenize=False, continue_final_message=True)
    assert text == "<|user|>What is it?\n<|assistant|>A statement. "
    blocks = [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]
    template = "{% for m in messages %}{{ m.content[0].text }}<end>{% endfor %}"
    assert tokenizer.apply_chat_template(
        blocks, chat_template=template, tokenize=False, continue_final_message=True
    ) == "Hi"  # fmt: skip


def test_several_templates(tokenizer):
    tokenizer.chat_template = {
        "default": "plain",
        "tool_use": "{{ tools | length }} tools",
        "rag": "{{ documents[0].text }}",
    }
    assert tokenizer.apply_chat_template(CHAT, tokenize=False) == "plain"
    assert tokenizer.apply_chat_template(CHAT, tools=[{"name": "x"}], tokenize=False) == "1 tools"
    rag = tokenizer.apply_chat_template(CHAT, chat_template="rag", documents=[{"text": "doc"}], tokenize=False)
    assert rag == "doc"
    tokenizer.chat_template = {"rag": "x", "tool_use": "y"}
    with pytest.raises(InputError, match="no default"):
        tokenizer.apply_chat_template(CHAT, tokenize=False)


def test_what_templates_can_use(tokenizer):
    template = (
        "{{ bos_token }}{% for m in messages %}{% if loop.index > 1 %}{% break %}{% endif %}{{ m | tojson }}"
        "{% endfor %}{{ extra }}{{ strftime_now('%Y') | length }}"
    )
    text = tokenizer.apply_chat_template(CHAT[2:], chat_template=template, tokenize=False, extra="!")
    assert text == '<|endoftext|>{"role": "user", "content": "And Größe?"}!4'


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{{ messages[0].content + none }}", "refused"),
        ("{% for %}", "no valid Jinja template"),
        ("{{ messages.__class__.__mro__[1].__subclasses__() }}", "refused"),
        ("{{ messages.append(1) }}", "refused"),
    ],
)
def test_templates_that_fail(tokenizer, template, message):
    with pytest.raises(InputError, match=message):
        tokenizer.apply_chat_template(CHAT, chat_template=template, tokenize=False)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.apply_chat_template([]), "empty"),
        (lambda t: t.apply_chat_template("hello"), "list of messages"),
        (lambda t: t.apply_chat_template(["hello"]), "A message is a dict"),
        (lambda t: t.apply_chat_template(CHAT, tokenize=False, return_dict=True), "tokenize=False"),
        (lambda t: t.apply_chat_template(CHAT, return_assistant_tokens_mask=True), "return_dict"),
        (lambda t: t.apply_chat_template(CHAT, add_generation_prompt=True, continue_final_message=True), "exclude"),
        (lambda t: t.apply_chat_template(CHAT, tools=[3]), "A tool is"),
        (lambda t: t.apply_chat_template(CHAT, tools={"a": 1}), "tools is a list"),
        (lambda t: t.apply_chat_template(CHAT, documents=["a"]), "list of dicts"),
        (
            lambda t: t.apply_chat_template(CHAT, chat_template="x", tokenize=False, continue_final_message=True),
            "not appear",
        ),
    ],
)
def test_bad_calls(tokenizer, call, message):
    with pytest.raises((InputError, InputTypeError), match=message):
        call(tokenizer)


def test_no_template():
    with pytest.raises(InputError, match=r"chat_template\.jinja"):
        GPT2Tokenizer(tokenizer_object=byte_level()).apply_chat_template(CHAT)


def test_rendering_marks_nothing_unless_asked():
    texts, spans = render_chats([CHAT], CHATML)
    assert spans == [[]]
    assert "\ufdd0" not in texts[0]


def get_weather(
    city: str, days: int = 1, unit: Literal["c", "f"] = "c", tags: list[str] | None = None
) -> dict[str, Any]:
    """The weather in a city.

    Args:
        city: The city, with
            its country
        days: How many days (choices: [1, 2])
        unit: The unit
        tags: What to tell

    Returns:
        A dict of numbers
    """
    return {}


def test_the_schema_of_a_function():
    function = get_json_schema(get_weather)["function"]
    assert function["name"] == "get_weather"
    assert function["description"] == "The weather in a city."
    parameters = function["parameters"]
    assert parameters["required"] == ["city"]
    assert parameters["properties"] == {
        "city": {"type": "string", "description": "The city, with its country"},
        "days": {"type": "integer", "enum": [1, 2], "description": "How many days"},
        "unit": {"type": "string", "enum": ["c", "f"], "description": "The unit"},
        "tags": {"type": "array", "items": {"type": "string"}, "nullable": True, "description": "What to tell"},
    }
    assert function["return"] == {"type": "object", "additionalProperties": {}, "description": "A dict of numbers"}


def test_a_function_without_words():
    def silent(value: int) -> None:
        pass

    with pytest.raises(InputError, match="no docstring"):
        get_json_schema(silent)
    silent.__doc__ = "Does it."
    with pytest.raises(InputError, match="'value'"):
        get_json_schema(silent)
