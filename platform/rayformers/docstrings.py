"""Decorators that compose docstrings (guide: internal/file_utils)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from .errors import ConfigError, did_you_mean

Documented = TypeVar("Documented", bound=Callable[..., Any])

_CALL_HINT = "Call the module itself rather than `forward`: only the call runs the hooks.\n"

_TEXT = 'inputs = tokenizer("A short text.", return_tensors="pt")\n'
_SOUND = 'inputs = processor(waveform, sampling_rate=16_000, return_tensors="pt")\n'
_SAMPLES = {
    "SequenceClassification": _TEXT + "logits = model(**inputs).logits",
    "TokenClassification": _TEXT + "logits = model(**inputs).logits",
    "MultipleChoice": (
        'inputs = tokenizer(["A text.", "A text."], ["One end.", "Another."], return_tensors="pt", padding=True)\n'
        "logits = model(**{name: value[None] for name, value in inputs.items()}).logits"
    ),
    "QuestionAnswering": (
        'inputs = tokenizer("Who?", "A text that says who.", return_tensors="pt")\noutputs = model(**inputs)\n'
        "start, end = outputs.start_logits.argmax(), outputs.end_logits.argmax()"
    ),
    "MaskedLM": (
        'inputs = tokenizer(f"A {tokenizer.mask_token} text.", return_tensors="pt")\nlogits = model(**inputs).logits'
    ),
    "LMHead": _TEXT + 'loss = model(**inputs, labels=inputs["input_ids"]).loss',
    "CausalLM": _TEXT + 'loss = model(**inputs, labels=inputs["input_ids"]).loss',
    "ImageClassification": (
        'inputs = processor(image, return_tensors="pt")\nlabel = model(**inputs).logits.argmax(-1)'
    ),
    "AudioClassification": _SOUND + "logits = model(**inputs).logits",
    "CTC": _SOUND + "logits = model(**inputs).logits",
    "Model": _TEXT + "last_hidden_states = model(**inputs).last_hidden_state",
}
_PROCESSED = ("ImageClassification", "AudioClassification", "CTC")


def add_start_docstrings(*docstr: str) -> Callable[[Documented], Documented]:
    """Put texts in front of a docstring."""

    def decorate(function: Documented) -> Documented:
        function.__doc__ = "".join(docstr) + (function.__doc__ or "")
        return function

    return decorate


def add_start_docstrings_to_model_forward(*docstr: str) -> Callable[[Documented], Documented]:
    """Put texts in front of a `forward` method's docstring, after a line that names the class it belongs to."""

    def decorate(function: Documented) -> Documented:
        owner = function.__qualname__.rpartition(".")[0].rpartition(".")[2]
        intro = f"The forward pass of [`{owner}`]. {_CALL_HINT}\n" if owner else ""
        function.__doc__ = intro + "".join(docstr) + (function.__doc__ or "")
        return function

    return decorate


def add_end_docstrings(*docstr: str) -> Callable[[Documented], Documented]:
    """Put texts behind a docstring."""

    def decorate(function: Documented) -> Documented:
        function.__doc__ = (function.__doc__ or "") + "".join(docstr)
        return function

    return decorate


def _returns(output_type: Any, config_class: Any) -> str:
    name = output_type if isinstance(output_type, str) else f"{output_type.__module__}.{output_type.__qualname__}"
    made = (
        f" It depends on the configuration, a [`{getattr(config_class, '__name__', config_class)}`]."
        if config_class
        else ""
    )
    fields = "" if isinstance(output_type, str) else (output_type.__doc__ or "").strip()
    return f"Returns:\n    [`{name}`], or a tuple with `return_dict=False`.{made}\n\n{fields}\n"


def replace_return_docstrings(output_type: Any = None, config_class: Any = None) -> Callable[[Documented], Documented]:
    """Fill in the empty "Returns:" line of a docstring from an output class.

    Raises:
        ConfigError: (from the decorator) the docstring has no such line.
    """

    def decorate(function: Documented) -> Documented:
        lines = (function.__doc__ or "").split("\n")
        places = [number for number, line in enumerate(lines) if re.fullmatch(r"\s*Returns?:\s*", line)]
        if not places:
            raise ConfigError(f"The docstring of {function.__qualname__} has no line 'Returns:' to fill in.")
        place = places[0]
        indent = lines[place][: len(lines[place]) - len(lines[place].lstrip())]
        filled = _returns(output_type, config_class).split("\n") if output_type is not None else [""]
        lines[place : place + 1] = [f"{indent}{line}" if line else "" for line in filled]
        function.__doc__ = "\n".join(lines)
        return function

    return decorate


def add_code_sample_docstrings(
    *docstr: str,
    processor_class: str | None = None,
    checkpoint: str | None = None,
    output_type: Any = None,
    config_class: Any = None,
    model_cls: str | None = None,
    modality: str | None = None,
    expected_output: Any = None,
    expected_loss: Any = None,
) -> Callable[[Documented], Documented]:
    """Add what a `forward` method returns, and an example for the task that the class's name ends in.

    Args:
        docstr: texts for between docstring and example.
        processor_class: class of the tokenizer or processor; default: the Auto class for the task.
        checkpoint: the Hub id in the example.
        output_type, config_class: as for `replace_return_docstrings`.
        model_cls: the model's class; default: that of the method.
        modality: "audio" or "vision" takes a processor whatever the task.
        expected_output, expected_loss: shown behind the example.

    Raises:
        ConfigError: (from the decorator) there is no example for such a class.
    """

    def decorate(function: Documented) -> Documented:
        model = model_cls or function.__qualname__.split(".")[0]
        task = next((name for name in sorted(_SAMPLES, key=len, reverse=True) if name in model), None)
        if task is None:
            raise ConfigError(f"No example for {model}. {did_you_mean(model, _SAMPLES)}")
        processed = task in _PROCESSED or modality in ("audio", "vision")
        variable = "processor" if processed else "tokenizer"
        made_by = processor_class or ("AutoProcessor" if processed else "AutoTokenizer")
        reference = f'"{checkpoint}"' if checkpoint else "checkpoint"
        lines = [
            f"from rayformers import {made_by}, {model}",
            "",
            f"{variable} = {made_by}.from_pretrained({reference})",
            f"model = {model}.from_pretrained({reference})",
            *_SAMPLES[task].replace("tokenizer", variable).split("\n"),
            *(f"# {value}" for value in (expected_output, expected_loss) if value is not None),
        ]
        shown = "\n".join(f">>> {line}" if line else "" for line in lines)
        returned = "" if output_type is None else _returns(output_type, config_class)
        text = (function.__doc__ or "") + "".join(docstr)
        function.__doc__ = f"{text}\n{returned}\nExample:\n\n```python\n{shown}\n```\n"
        return function

    return decorate
