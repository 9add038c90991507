"""What every pipeline does whatever its task: inputs, parameters, devices, classes and tasks of one's own, errors."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from tests.pipelines.samples import (
    CLASSES,
    GREEDY,
    KINDS,
    bert,
    bert_tokenizer,
    example,
    folder_of,
    sentence,
    text_pipeline,
)

from rayformers import Pipeline, pipeline
from rayformers.errors import ConfigError, InputError, InputTypeError, UnknownNameError
from rayformers.pipelines import TASKS, TaskRow, infer_task
from rayformers.pipelines.pt_utils import KeyDataset, KeyPairDataset
from rayformers.pipelines.tasks import add_task
from rayformers.pipelines.text_classification import TextClassificationPipeline

TEXTS = [sentence(4, number * 7) for number in range(5)]


@pytest.fixture
def classify() -> Any:
    return pipeline(
        "text-classification", model=bert("AutoModelForSequenceClassification", labels=CLASSES),
        tokenizer=bert_tokenizer(),
    )  # fmt: skip


class Texts(torch.utils.data.Dataset[str]):
    def __len__(self) -> int:
        return len(TEXTS)

    def __getitem__(self, number: int) -> str:
        return TEXTS[number]


class Unsized(torch.utils.data.IterableDataset[str]):
    def __iter__(self) -> Iterator[str]:
        return iter(TEXTS)


ROWS = [{"text": text, "other": sentence(3, number)} for number, text in enumerate(TEXTS)]
MANY: dict[str, Any] = {
    "generator": lambda: (text for text in TEXTS),
    "iterator": lambda: iter(TEXTS),
    "torch dataset": Texts,
    "torch iterable dataset": Unsized,
    "KeyDataset": lambda: KeyDataset(ROWS, "text"),
    "KeyDataset of datasets.Dataset": lambda: KeyDataset(datasets.Dataset.from_list(ROWS), "text"),
}


@pytest.mark.parametrize("options", [{}, {"batch_size": 2}], ids=["alone", "batched"])
@pytest.mark.parametrize("name", MANY)
def test_many_inputs_of_any_kind_give_an_iterator(name: str, options: dict[str, Any], classify: Any) -> None:
    answers = classify(MANY[name](), **options)
    assert isinstance(answers, Iterator)
    found = list(answers)
    wanted = classify(TEXTS)
    assert [answer["label"] for answer in found] == [answer["label"] for answer in wanted]
    assert [answer["score"] for answer in found] == pytest.approx([answer["score"] for answer in wanted], abs=1e-4)


def test_one_input_and_a_list(classify: Any) -> None:
    (alone,) = classify(TEXTS[0])
    assert classify(TEXTS[:1]) == [alone]
    assert alone["label"] in CLASSES
    assert classify([]) == []
    assert isinstance(classify(TEXTS), list)


def test_pairs_from_two_columns(classify: Any) -> None:
    found = list(classify(KeyPairDataset(ROWS, "text", "other"), batch_size=2))
    direct = [classify({"text": row["text"], "text_pair": row["other"]}) for row in ROWS]
    assert [answer["score"] for answer in found] == pytest.approx([answer["score"] for answer in direct], abs=1e-4)
    assert found != classify(TEXTS)


def test_rows_of_a_dataset_are_inputs(classify: Any) -> None:
    rows = datasets.Dataset.from_list([{"text": row["text"], "text_pair": row["other"]} for row in ROWS])
    assert len(list(classify(rows))) == len(ROWS)


def test_a_generator_is_not_shared_by_workers(classify: Any) -> None:
    with pytest.raises(InputError, match="num_workers=1"):
        classify((text for text in TEXTS), num_workers=2)


def test_answers_come_before_the_end_of_the_input(classify: Any) -> None:
    answers = classify(text for text in [*TEXTS, 7])
    assert [next(answers)["label"] for _ in TEXTS] == [answer["label"] for answer in classify(TEXTS)]
    with pytest.raises(InputTypeError, match="int"):
        next(answers)


# -- parameters ------------------------------------------------------------------------------------------------------


def test_a_call_overrides_the_constructor_for_that_call_only() -> None:
    model = bert("AutoModelForSequenceClassification", labels=CLASSES)
    made = pipeline("text-classification", model=model, tokenizer=bert_tokenizer(), top_k=2, batch_size=4)
    assert len(made(TEXTS)[0]) == 2
    assert len(made(TEXTS, top_k=None)[0]) == 3
    assert len(made(TEXTS, top_k=1, batch_size=1)[0]) == 1
    assert len(made(TEXTS)[0]) == 2


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        ("token-classification", "agregation_strategy", "Did you mean 'aggregation_strategy'"),
        ("question-answering", "topk_", "Did you mean 'topk'"),
        ("fill-mask", "target", "Did you mean 'targets'"),
        ("zero-shot-classification", "labels", "candidate_labels"),
        ("text-classification", "trunctation", "Did you mean 'truncation'"),
        ("text-generation llama", "max_new_token", "max_new_tokens"),
    ],
)
def test_an_unknown_parameter_names_the_nearest(kind: str, given: str, message: str) -> None:
    inputs = example(kind, 5)
    with pytest.raises(InputError, match=message):
        text_pipeline(kind)(inputs, **{given: 1})


def test_positional_parameters_are_refused(classify: Any) -> None:
    with pytest.raises(InputTypeError, match="by name"):
        classify("a text", 3)


# -- classes and tasks of one's own ----------------------------------------------------------------------------------


class Rounded(TextClassificationPipeline):
    def postprocess(self, model_outputs: Any, **parameters: Any) -> Any:
        answer = super().postprocess(model_outputs, **parameters)
        return {**answer, "score": round(answer["score"], 2)}


def test_an_own_pipeline_class() -> None:
    model = bert("AutoModelForSequenceClassification", labels=CLASSES)
    made = pipeline("text-classification", model=model, tokenizer=bert_tokenizer(), pipeline_class=Rounded)
    assert type(made) is Rounded
    assert all(answer["score"] == round(answer["score"], 2) for answer in made(TEXTS, batch_size=2))


class Lengths(Pipeline):
    """How many tokens a text has, and the mean of its states."""

    def _sanitize_parameters(self, scale: float | None = None) -> Any:
        return {}, {}, {} if scale is None else {"scale": scale}

    def preprocess(self, inputs: str) -> dict[str, Any]:
        return dict(self.tokenizer(inputs, return_tensors="pt"))

    def _forward(self, model_inputs: dict[str, Any]) -> Any:
        return {"states": self.model(**model_inputs)[0].mean((1, 2)), "ids": model_inputs["input_ids"]}

    def postprocess(self, model_outputs: Any, scale: float = 1.0) -> Any:
        return {"tokens": model_outputs["ids"].shape[1], "mean": float(model_outputs["states"][0]) * scale}


def test_an_own_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TASKS, "_values", dict(TASKS._values))
    row = TaskRow(
        name="token-count", target=f"{__name__}:Lengths", auto_classes=("AutoModel",), parts=("tokenizer",),
        input="text",
    )  # fmt: skip
    add_task(row)
    folder = folder_of("feature-extraction", tmp_path)
    count = pipeline("token-count", model=str(folder), scale=2.0)
    alone = [count(text) for text in TEXTS]
    together = count(TEXTS, batch_size=4)
    assert [answer["tokens"] for answer in together] == [answer["tokens"] for answer in alone]
    assert [answer["mean"] for answer in together] == pytest.approx([answer["mean"] for answer in alone], abs=1e-4)
    with pytest.raises(InputTypeError, match="scale"):
        count(TEXTS, scal=1.0)
    with pytest.raises(ValueError, match="registered already"):
        add_task(row)


# -- tasks and checkpoints -------------------------------------------------------------------------------------------


INFERRED = {
    "text-classification": "text-classification",
    "token-classification": "token-classification",
    "question-answering": "question-answering",
    "fill-mask": "fill-mask",
    "feature-extraction": "feature-extraction",
    "text-generation gpt2": "text-generation",
    "text-generation llama": "text-generation",
    "text2text-generation": "text2text-generation",
    "summarization": "text2text-generation",
}


@pytest.mark.parametrize("kind", INFERRED)
def test_the_task_is_inferred_from_a_checkpoint(kind: str, tmp_path: Path) -> None:
    folder = folder_of(kind, tmp_path)
    assert infer_task(str(folder)) == INFERRED[kind]
    assert infer_task(text_pipeline(kind).model) == INFERRED[kind]
    options = GREEDY if "generation" in INFERRED[kind] else {}
    made = pipeline(model=str(folder), **options)
    assert made.task == INFERRED[kind]
    wanted = text_pipeline(kind)
    if kind == "feature-extraction":
        assert torch.allclose(torch.tensor(made(TEXTS[0])), torch.tensor(wanted(TEXTS[0])), atol=1e-5)


def test_nothing_to_infer_from_is_an_error() -> None:
    with pytest.raises(ConfigError, match="a task, a model, or both"):
        pipeline()
    with pytest.raises(UnknownNameError, match="Did you mean 'text-classification'"):
        pipeline("text-clasification", model="x")
    with pytest.raises(ConfigError, match="tokenizer="):
        pipeline("text-classification", model=bert("AutoModelForSequenceClassification", labels=CLASSES))


def test_a_checkpoint_of_another_task_is_an_error(tmp_path: Path) -> None:
    folder = folder_of("text-generation llama", tmp_path)
    with pytest.raises(UnknownNameError, match="The task 'fill-mask' cannot use"):
        pipeline("fill-mask", model=str(folder))


@pytest.mark.parametrize("kind", ["text-classification", "token-classification", "text-generation gpt2"])
def test_a_saved_pipeline_answers_the_same(kind: str, tmp_path: Path) -> None:
    made = text_pipeline(kind)
    options = GREEDY if "generation" in kind else {}
    again = pipeline(made.task, model=str(folder_of(kind, tmp_path)), **options)
    parameters = {"top_k": None} if kind == "text-classification" else {}
    found, wanted = again(TEXTS[0], **parameters), made(TEXTS[0], **parameters)
    assert str(found) == str(wanted)


# -- devices and dtypes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["cpu", -1, torch.device("cpu")])
def test_devices(device: Any) -> None:
    made = pipeline("feature-extraction", model=bert("AutoModel"), tokenizer=bert_tokenizer(), device=device)
    assert made.device == torch.device("cpu")


@pytest.mark.parametrize("device", ["gpu", "cuda:99", 99, "cpu:x", 1.5])
def test_a_device_that_is_not_there_is_an_error(device: Any) -> None:
    with pytest.raises(ConfigError, match="device is"):
        pipeline("feature-extraction", model=bert("AutoModel"), tokenizer=bert_tokenizer(), device=device)


def test_device_and_device_map_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not both"):
        pipeline("feature-extraction", model=str(tmp_path), device="cpu", device_map="auto")


@pytest.mark.parametrize("dtype", ["bfloat16", torch.bfloat16, "torch.bfloat16"])
@pytest.mark.parametrize("name", ["dtype", "torch_dtype"])
def test_a_dtype_for_a_checkpoint(name: str, dtype: Any, tmp_path: Path) -> None:
    folder = folder_of("text-classification", tmp_path)
    made = pipeline("text-classification", model=str(folder), **{name: dtype})
    assert made.dtype == made.torch_dtype == torch.bfloat16
    (wanted,) = text_pipeline("text-classification")(TEXTS[0], top_k=1)
    (found,) = made(TEXTS[0], top_k=1)
    assert found["score"] == pytest.approx(wanted["score"], abs=0.05)


@pytest.mark.parametrize("dtype", ["float17", "int8", 3])
def test_a_dtype_that_is_none_is_an_error(dtype: Any, tmp_path: Path) -> None:
    folder = folder_of("text-classification", tmp_path)
    with pytest.raises(ConfigError, match="dtype"):
        pipeline("text-classification", model=str(folder), dtype=dtype)
    with pytest.raises(ConfigError, match="dtype"):
        pipeline("feature-extraction", model=bert("AutoModel"), tokenizer=bert_tokenizer(), dtype=dtype)


def test_other_frameworks_are_refused() -> None:
    with pytest.raises(ConfigError, match="torch"):
        pipeline("feature-extraction", model=bert("AutoModel"), tokenizer=bert_tokenizer(), framework="tf")


# -- bad inputs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "question-answering"])
@pytest.mark.parametrize("given", [7, None, b"bytes", {"nonsense": 1}, 1.5])
def test_what_is_no_text_is_an_error(kind: str, given: Any) -> None:
    with pytest.raises(InputTypeError, match=type(given).__name__):
        text_pipeline(kind)(given)
    with pytest.raises(InputTypeError, match=type(given).__name__):
        text_pipeline(kind)(["[MASK]", given], batch_size=2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_lone_surrogate_is_an_error(kind: str) -> None:
    bad = "a [MASK] \ud83d b"
    with pytest.raises(InputError, match="lone surrogate"):
        text_pipeline(kind)({"question": "What?", "context": bad} if kind == "question-answering" else bad)


def test_an_empty_text_has_an_answer_or_an_error() -> None:
    empty = {"text-classification": 3, "feature-extraction": 1}
    for kind, count in empty.items():
        assert len(text_pipeline(kind)("")) == count
        assert len(text_pipeline(kind)(["", "a"], batch_size=2)) == 2
    assert text_pipeline("token-classification")("") == []
    with pytest.raises(InputError, match="The context is ''"):
        text_pipeline("question-answering")({"question": "What?", "context": ""})
    with pytest.raises(InputError, match="at least one text"):
        text_pipeline("zero-shot-classification")("")
    with pytest.raises(InputError, match="empty list"):
        text_pipeline("token-classification")([])


@pytest.mark.parametrize("kind", ["text-classification", "feature-extraction", "fill-mask"])
def test_a_text_that_is_too_long_says_to_truncate(kind: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(InputError, match="truncation=True"):
            text_pipeline(kind)(example(kind, 400))
    if kind != "fill-mask":
        assert text_pipeline(kind)(example(kind, 400), truncation=True)


def test_long_texts_of_tasks_that_cut_them_have_answers() -> None:
    long = sentence(300)
    assert isinstance(text_pipeline("token-classification")(long, ignore_labels=[]), list)
    strided = text_pipeline("token-classification")(long, ignore_labels=[], stride=8, aggregation_strategy="first")
    assert strided[-1]["end"] > 0.9 * len(long)
    answer = text_pipeline("question-answering")(question="What is a class?", context=long)
    assert long[answer["start"] : answer["end"]] == answer["answer"]


def test_a_text_without_a_mask_says_how_to_write_one() -> None:
    fill = text_pipeline("fill-mask")
    from rayformers import PipelineException

    for inputs, options in (("no mask", {}), (["a [MASK]", "no mask"], {"batch_size": 2})):
        with pytest.raises(PipelineException, match=r"write \[MASK\]"):
            fill(inputs, **options)


@pytest.mark.parametrize("task", ["text-classification", "text-generation"])
def test_a_tokenizer_that_does_not_fit_the_model_says_so(task: str) -> None:
    with pytest.raises(InputError, match=r"the model knows 0 to 19. Use the tokenizer of this checkpoint"):
        shrunk(task)(sentence(8))


def shrunk(task: str) -> Any:
    """A pipeline whose model knows far fewer tokens than its tokenizer."""
    from rayformers import AutoConfig
    from rayformers.models import auto

    fields = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    name = "AutoModelForCausalLM" if task == "text-generation" else "AutoModelForSequenceClassification"
    model_type = "llama" if task == "text-generation" else "bert"
    config = AutoConfig.for_model(model_type, vocab_size=20, **fields)
    return pipeline(task, model=auto.auto_class(name).from_config(config).eval(), tokenizer=bert_tokenizer())
