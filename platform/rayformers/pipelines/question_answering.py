"""question-answering: the part of a context that answers a question."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError, InputTypeError
from .argument_handler import ArgumentHandler
from .base import ChunkPipeline, Parameters
from .spans import best_spans
from .text import TextPipeline


@dataclass(frozen=True)
class SquadExample:
    """A question and the context in which its answer is looked for."""

    question_text: str
    context_text: str


class QuestionAnsweringArgumentHandler(ArgumentHandler):
    """Examples from what a user gives (guide: internal/pipelines_utils)."""

    def __call__(self, *args: Any, question: Any = None, context: Any = None, data: Any = None, **other: Any) -> Any:
        """One example, or a list of them; generators and datasets pass.

        Raises:
            InputError: nothing, an empty text, or lists of different lengths. InputTypeError: no text.
        """
        if question is not None or context is not None:
            return self._pairs(question, context)
        given = args if args else (data if data is not None else other.get("X"))
        if isinstance(given, tuple):
            given = given[0] if len(given) == 1 else list(given)
        if given is None or (isinstance(given, (list, tuple)) and not given):
            raise InputError("question-answering needs question=... and context=..., or such dicts.")
        if isinstance(given, (Mapping, SquadExample)):
            return self.example(given)
        return [self.example(item) for item in given] if isinstance(given, (list, tuple)) else given

    def _pairs(self, question: Any, context: Any) -> Any:
        if question is None or context is None:
            raise InputError(
                f"question-answering needs both; {'context' if context is None else 'question'} is missing."
            )
        if isinstance(question, str) and isinstance(context, str):
            return self.example({"question": question, "context": context})
        questions = [question] * len(context) if isinstance(question, str) else list(question)
        contexts = [context] * len(questions) if isinstance(context, str) else list(context)
        if len(questions) != len(contexts):
            raise InputError(f"{len(questions)} questions and {len(contexts)} contexts; give as many of each.")
        return [self.example({"question": q, "context": c}) for q, c in zip(questions, contexts, strict=True)]

    def example(self, item: Any) -> SquadExample:
        """One example from a dict with "question" and "context"."""
        if isinstance(item, SquadExample):
            return item
        if not isinstance(item, Mapping):
            raise InputTypeError(f"An example is {type(item).__name__}; expected {{'question': ..., 'context': ...}}.")
        for name in ("question", "context"):
            if name not in item:
                raise InputError(f"An example lacks {name!r}; it has {', '.join(map(repr, item)) or 'nothing'}.")
            if not isinstance(item[name], str) or not item[name]:
                raise InputError(f"The {name} is {item[name]!r}; expected a text that is not empty.")
        return SquadExample(item["question"], item["context"])


class QuestionAnsweringPipeline(TextPipeline, ChunkPipeline):
    """Questions with contexts to {"score", "start", "end", "answer"} (guide: tasks/question_answering)."""

    sequence_outputs = ("start", "end")
    handler = QuestionAnsweringArgumentHandler()

    def __call__(self, *args: Any, **parameters: Any) -> Any:
        """Answer.

        Args:
            args: one {"question", "context"} or a list of them; or use question= and context= (texts or lists).
            parameters: top_k (default 1), doc_stride (tokens that parts of a long context share), max_answer_len (15
                tokens), max_seq_len (384 tokens), max_question_len (64 tokens), handle_impossible_answer,
                align_to_words (default True), padding, batch_size.

        Returns:
            A dict, or with top_k > 1 a list of dicts; for several examples a list of these.
        """
        names = ("question", "context", "data", "X")
        given = {name: parameters.pop(name) for name in names if name in parameters}
        examples = self.handler(*args, **given)
        single = isinstance(examples, list) and len(examples) == 1
        return super().__call__(examples[0] if single else examples, **parameters)

    def _sanitize_parameters(
        self,
        padding: Any = None,
        topk: int | None = None,
        top_k: int | None = None,
        doc_stride: int | None = None,
        max_answer_len: int | None = None,
        max_seq_len: int | None = None,
        max_question_len: int | None = None,
        handle_impossible_answer: bool | None = None,
        align_to_words: bool | None = None,
    ) -> Parameters:
        top_k = topk if top_k is None else top_k
        for name, value in (("top_k", top_k), ("max_answer_len", max_answer_len)):
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}; expected a positive whole number.")
        pre = {
            "padding": padding, "doc_stride": doc_stride, "max_seq_len": max_seq_len,
            "max_question_len": max_question_len,
        }  # fmt: skip
        post = {
            "top_k": top_k, "max_answer_len": max_answer_len, "align_to_words": align_to_words,
            "handle_impossible_answer": handle_impossible_answer,
        }  # fmt: skip
        return _given(pre), {}, _given(post)

    def preprocess(
        self,
        inputs: Any,
        padding: Any = "do_not_pad",
        doc_stride: int | None = None,
        max_question_len: int = 64,
        max_seq_len: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        example = self.handler.example(inputs)
        max_seq_len = min(self.tokenizer.model_max_length, 384) if max_seq_len is None else max_seq_len
        doc_stride = min(max_seq_len // 2, 128) if doc_stride is None else doc_stride
        if doc_stride > max_seq_len:
            raise InputError(f"doc_stride ({doc_stride}) exceeds max_seq_len ({max_seq_len}); make it smaller.")
        question_first = self.tokenizer.padding_side == "right"
        texts = (example.question_text, example.context_text)
        encoded = self.tokenizer(
            *(texts if question_first else texts[::-1]),
            padding=padding, truncation="only_second" if question_first else "only_first", max_length=max_seq_len,
            stride=doc_stride, return_token_type_ids=True, return_overflowing_tokens=True,
            return_offsets_mapping=True, return_special_tokens_mask=True,
        )  # fmt: skip
        for span in range(len(encoded["input_ids"])):
            yield self._unit(encoded, span, example, question_first)

    def _unit(self, encoded: Any, span: int, example: SquadExample, question_first: bool) -> dict[str, Any]:
        import torch

        ids = encoded["input_ids"][span]
        # 1 = no part of the answer. The classification token stays allowed: it stands for "no answer".
        hidden = [int(part != 1) if question_first else 0 for part in encoded.sequence_ids(span)]
        if self.tokenizer.cls_token_id is not None:
            hidden = [0 if token == self.tokenizer.cls_token_id else h for token, h in zip(ids, hidden, strict=True)]
        tensors = {
            name: torch.tensor([encoded[name][span]])
            for name in ("input_ids", "attention_mask", "token_type_ids")
            if name in encoded
        }
        if "token_type_ids" not in self.tokenizer.model_input_names:
            tensors.pop("token_type_ids", None)
        place = {"encoding": encoded.encodings[span], "question_first": question_first}
        return {**tensors, "p_mask": torch.tensor([hidden]), "example": example, **place}

    def _forward(self, model_inputs: dict[str, Any]) -> Any:
        inputs = self.model_inputs(model_inputs)
        if "use_cache" in self.model.input_names():
            inputs["use_cache"] = False
        outputs = self.model(**inputs)
        kept = ("p_mask", "attention_mask", "input_ids", "example", "encoding", "question_first")
        return {
            "start": outputs.start_logits,
            "end": outputs.end_logits,
            **{name: model_inputs.get(name) for name in kept},
        }

    def postprocess(
        self,
        model_outputs: Any,
        top_k: int = 1,
        handle_impossible_answer: bool = False,
        max_answer_len: int = 15,
        align_to_words: bool = True,
    ) -> Any:
        null_score = 1e6
        answers: list[dict[str, Any]] = []
        for output in model_outputs:
            candidates = top_k * 2 + 10 if align_to_words else top_k
            spans, null_score = best_spans(output, candidates, max_answer_len, handle_impossible_answer, null_score)
            for first, last, score in spans:
                self._add(answers, output, first, last, score, align_to_words)
        if handle_impossible_answer:
            answers.append({"score": null_score, "start": 0, "end": 0, "answer": ""})
        answers = sorted(answers, key=lambda answer: answer["score"], reverse=True)[:top_k]
        return answers[0] if len(answers) == 1 else answers

    def _add(
        self, answers: list[dict[str, Any]], output: dict[str, Any], first: int, last: int, score: float, align: bool
    ) -> None:
        """Note a span; spans with the same text are one answer, their scores added."""
        if self.tokenizer.padding_side == "left":
            padding = int((np.asarray(output["input_ids"][0]) == self.tokenizer.pad_token_id).sum())
            first, last = first - padding, last - padding
        start, end = _characters(output["encoding"], first, last, 1 if output["question_first"] else 0, align)
        text = output["example"].context_text[start:end]
        for answer in answers:
            if answer["answer"].lower() == text.lower():
                answer["score"] += score
                return
        answers.append({"score": score, "start": start, "end": end, "answer": text})


def _characters(encoding: Any, first: int, last: int, sequence: int, align: bool) -> tuple[int, int]:
    """Where tokens first..last lie in the context, in characters; whole words where asked for and known."""
    if align:
        first_word, last_word = encoding.token_to_word(first), encoding.token_to_word(last)
        if first_word is not None and last_word is not None:
            start, end = encoding.word_to_chars(first_word, sequence), encoding.word_to_chars(last_word, sequence)
            if start is not None and end is not None:
                return start[0], end[1]
    return encoding.offsets[first][0], encoding.offsets[last][1]


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
