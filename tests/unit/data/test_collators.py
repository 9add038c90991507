"""Data collators: what batches hold, by counting and by hand, and the reference's own batches."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.unit.processing.tokenizer_samples import BERT_TOKENS, bert_folder, byte_level, corpus, word_piece

import rayformers
from rayformers.errors import ConfigError, InputError
from rayformers.processing.tokenizer_models.byte_level import GPT2Tokenizer
from rayformers.processing.tokenizer_models.word_piece import BertTokenizer

LINES = list(corpus()[:6])


@pytest.fixture
def bert() -> BertTokenizer:
    return BertTokenizer(tokenizer_object=word_piece())


@pytest.fixture
def rows(bert: BertTokenizer) -> list[dict[str, Any]]:
    return [dict(bert(line)) for line in LINES]


def kinds(value: Any) -> type:
    return torch.Tensor if isinstance(value, torch.Tensor) else np.ndarray


def test_default_data_collator() -> None:
    features = [
        {"x": [1.5, 2], "label": 0, "label_ids": 9, "name": "a"},
        {"x": [0.5, 1], "label": 1, "label_ids": 9, "name": "b"},
    ]
    batch = rayformers.default_data_collator(features)
    assert set(batch) == {"x", "labels"}
    assert batch["labels"].tolist() == [0, 1] and batch["labels"].dtype == torch.int64
    assert batch["x"].dtype == torch.float32
    assert isinstance(rayformers.DefaultDataCollator(return_tensors="np")(features)["x"], np.ndarray)
    assert rayformers.default_data_collator([{"label_ids": [1, 2]}, {"label_ids": [3, 4]}])["labels"].shape == (2, 2)


@pytest.mark.parametrize("kind", ["pt", "np"])
def test_padding(bert: BertTokenizer, rows: list[dict[str, Any]], kind: str) -> None:
    for number, row in enumerate(rows):
        row["label"] = number
    batch = rayformers.DataCollatorWithPadding(bert, pad_to_multiple_of=8, return_tensors=kind)(rows)
    longest = max(len(row["input_ids"]) for row in rows)
    assert batch["input_ids"].shape == (6, -(-longest // 8) * 8)
    assert batch["labels"].tolist() == list(range(6)) and "label" not in batch
    assert kinds(batch["input_ids"]) is (torch.Tensor if kind == "pt" else np.ndarray)
    assert batch["attention_mask"].sum() == sum(len(row["input_ids"]) for row in rows)


@pytest.mark.parametrize("kind", ["pt", "np"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_labels_of_tokens(bert: BertTokenizer, rows: list[dict[str, Any]], kind: str, side: str) -> None:
    bert.padding_side = side
    for row in rows:
        row["labels"] = list(row["input_ids"])
    batch = rayformers.DataCollatorForTokenClassification(bert, return_tensors=kind)(rows)
    shown = batch["attention_mask"] == 1
    assert (batch["labels"][shown] == batch["input_ids"][shown]).all()
    assert (batch["labels"][~shown] == -100).all() and (~shown).any()
    rows[0]["labels"] = rows[0]["labels"] + [1] * 500
    with pytest.raises(InputError, match="Row 0 has"):
        rayformers.DataCollatorForTokenClassification(bert)(rows)


class Shifts:
    """Stands for a model: a public hook of theirs, called by the collator."""

    def prepare_decoder_input_ids_from_labels(self, labels: torch.Tensor) -> torch.Tensor:
        return torch.roll(labels, 1, dims=1)


def test_sequence_to_sequence(bert: BertTokenizer, rows: list[dict[str, Any]]) -> None:
    for number, row in enumerate(rows):
        row["labels"] = [7] * (number + 1)
    batch = rayformers.DataCollatorForSeq2Seq(bert, model=Shifts())(rows)
    assert [(row == 7).sum().item() for row in batch["labels"]] == [1, 2, 3, 4, 5, 6]
    assert torch.equal(batch["decoder_input_ids"], batch["labels"].roll(1, 1))
    assert "decoder_input_ids" not in rayformers.DataCollatorForSeq2Seq(bert, model="some/checkpoint")(rows)
    fixed = rayformers.DataCollatorForSeq2Seq(bert, padding="max_length", max_length=60, label_pad_token_id=0)(rows)
    assert fixed["labels"].shape == (6, 60) and (fixed["labels"] == 0).sum() == 360 - 21
    assert rayformers.DataCollatorForSeq2Seq(bert, pad_to_multiple_of=4, return_tensors="np")(rows)["labels"].shape == (
        6,
        8,
    )
    assert all("labels" in row for row in rows), "the rows of the user stay as they are"
    without = rayformers.DataCollatorForSeq2Seq(bert)([dict(bert("a"))])
    assert without["labels"] is None


def test_multiple_choice(bert: BertTokenizer) -> None:
    rows = [{**bert(["a", "a longer line"]), "label": 1}, {**bert(["word", "b"]), "label": 0}]
    batch = rayformers.DataCollatorForMultipleChoice(bert)(rows)
    assert batch["input_ids"].shape[:2] == (2, 2) and batch["labels"].tolist() == [1, 0]
    expected = bert(["a", "a longer line", "word", "b"], padding=True, return_tensors="pt")["input_ids"]
    assert torch.equal(batch["input_ids"].reshape(expected.shape), expected)
    rows[1] = {**bert(["a", "b", "c"]), "label": 0}
    with pytest.raises(InputError, match="Row 0 has 2 choices"):
        rayformers.DataCollatorForMultipleChoice(bert)(rows)


def test_causal_labels_are_the_tokens(rows: list[dict[str, Any]]) -> None:
    gpt = GPT2Tokenizer(tokenizer_object=byte_level(), pad_token="<pad>")
    batch = rayformers.DataCollatorForLanguageModeling(gpt, mlm=False)([gpt(line) for line in LINES])
    shown = batch["attention_mask"] == 1
    assert torch.equal(batch["labels"][shown], batch["input_ids"][shown])
    assert (batch["labels"][~shown] == -100).all()
    ids = [gpt(line)["input_ids"] for line in LINES]
    assert torch.equal(rayformers.DataCollatorForLanguageModeling(gpt, mlm=False)(ids)["labels"], batch["labels"])


@pytest.mark.parametrize("kind", ["pt", "np"])
def test_hidden_tokens_come_in_the_shares_asked_for(bert: BertTokenizer, kind: str) -> None:
    collator = rayformers.DataCollatorForLanguageModeling(
        bert, mlm_probability=0.4, mask_replace_prob=0.5, random_replace_prob=0.3, return_tensors=kind, seed=3
    )
    original = np.full((200, 100), 50)
    ids, labels = (
        collator.torch_mask_tokens(torch.tensor(original)) if kind == "pt" else collator.numpy_mask_tokens(original)
    )
    ids, labels = np.asarray(ids), np.asarray(labels)
    chosen = labels != -100
    assert (labels[chosen] == 50).all() and (ids[~chosen] == 50).all()
    assert chosen.mean() == pytest.approx(0.4, abs=0.02)
    assert (ids[chosen] == bert.mask_token_id).mean() == pytest.approx(0.5, abs=0.02)
    assert (ids[chosen] == 50).mean() == pytest.approx(0.2, abs=0.02)
    assert (original == 50).all(), "the input stays as it is"


@pytest.mark.parametrize("kind", ["pt", "np"])
def test_special_tokens_and_padding_are_never_hidden(
    bert: BertTokenizer, rows: list[dict[str, Any]], kind: str
) -> None:
    for collator in (
        rayformers.DataCollatorForLanguageModeling(bert, mlm_probability=1.0, return_tensors=kind),
        rayformers.DataCollatorForWholeWordMask(bert, mlm_probability=1.0, return_tensors=kind),
    ):
        batch = collator(rows)
        original = bert.pad(rows, return_tensors=kind)["input_ids"]
        special = np.isin(np.asarray(original), bert.all_special_ids)
        labels = np.asarray(batch["labels"])
        assert (labels[special] == -100).all()
        assert (labels[~special] == np.asarray(original)[~special]).all()
        assert "attention_mask" in batch


def test_a_seed_repeats_and_no_seed_follows_the_global_one(bert: BertTokenizer, rows: list[dict[str, Any]]) -> None:
    make: Any = lambda seed: rayformers.DataCollatorForLanguageModeling(bert, seed=seed)  # noqa: E731
    first, second = make(5), make(5)
    assert torch.equal(first(rows)["input_ids"], second(rows)["input_ids"])
    assert not torch.equal(first(rows)["labels"], make(5)(rows)["labels"]), "a generator goes on"
    rayformers.set_seed(1)
    one = make(None)(rows)["labels"]
    rayformers.set_seed(1)
    assert torch.equal(make(None)(rows)["labels"], one)
    pickle.loads(pickle.dumps(make(5)))


def test_workers_of_a_loader_hide_differently(bert: BertTokenizer, rows: list[dict[str, Any]]) -> None:
    collator = rayformers.DataCollatorForLanguageModeling(bert, seed=1, mlm_probability=0.5)
    collator(rows)  # a generator that was used before the workers were made is not theirs
    loader = torch.utils.data.DataLoader([rows[0]] * 4, batch_size=1, num_workers=2, collate_fn=collator)
    batches = [batch["labels"].tolist() for batch in loader]
    assert batches[0] != batches[1]
    assert [batch["labels"].tolist() for batch in loader] == batches


def word_spans(tokens: list[str]) -> Iterator[list[int]]:
    word: list[int] = []
    for place, token in enumerate(tokens):
        if token in BERT_TOKENS:
            continue
        if not token.startswith("##") and word:
            yield word
            word = []
        word.append(place)
    if word:
        yield word


@pytest.mark.parametrize("kind", ["pt", "np"])
@pytest.mark.parametrize("by_offsets", [True, False])
def test_words_are_hidden_whole(bert: BertTokenizer, kind: str, by_offsets: bool) -> None:
    options: Any = {"mlm_probability": 0.4, "return_tensors": kind}
    if by_offsets:
        collator = rayformers.DataCollatorForLanguageModeling(bert, whole_word_mask=True, **options)
    else:
        collator = rayformers.DataCollatorForWholeWordMask(bert, **options)
    texts = [" ".join(re.findall("[A-Za-z]+", line)) for line in LINES]  # to offsets, punctuation is part of a word
    rows = [dict(bert(text, return_offsets_mapping=True)) for text in texts]
    labels = np.asarray(collator(rows)["labels"])
    hidden = 0
    for row, label in zip(rows, labels, strict=True):
        for word in word_spans(bert.convert_ids_to_tokens(row["input_ids"])):
            states = {bool(label[place] != -100) for place in word}
            assert len(states) == 1
            hidden += True in states
    assert hidden > 0


def test_wrong_settings(bert: BertTokenizer, rows: list[dict[str, Any]]) -> None:
    make: Any = rayformers.DataCollatorForLanguageModeling
    gpt = GPT2Tokenizer(tokenizer_object=byte_level())
    for words, build in {
        "no mask token": lambda: make(gpt),
        "needs mlm=True": lambda: make(bert, mlm=False, whole_word_mask=True),
        r"mlm_probability is 1\.5": lambda: make(bert, mlm_probability=1.5),
        "exceed 1 together": lambda: make(bert, random_replace_prob=0.5),
        "offset_mapping": lambda: make(bert, whole_word_mask=True)(rows),
    }.items():
        with pytest.raises(ConfigError, match=words):
            build()
    with pytest.raises(InputError, match="'pt', 'np'"):
        make(bert, return_tensors="tf")(rows)


@pytest.mark.parametrize("kind", ["pt", "np"])
def test_permutations_leak_nothing(bert: BertTokenizer, kind: str) -> None:
    rows = [bert(line, truncation=True, max_length=16, padding="max_length")["input_ids"] for line in LINES]
    collator = rayformers.DataCollatorForPermutationLanguageModeling(bert, plm_probability=0.5, return_tensors=kind)
    batch = {name: np.asarray(value) for name, value in collator(rows).items()}
    assert batch["perm_mask"].shape == batch["target_mapping"].shape == (6, 16, 16)
    predicted = batch["labels"] != -100
    assert predicted.any()
    assert (batch["input_ids"][predicted] == bert.mask_token_id).all()
    for row in range(6):
        mask = batch["perm_mask"][row]
        assert (mask[:, ~predicted[row]] == 0).all(), "everybody sees what is not predicted"
        assert (mask.diagonal()[predicted[row]] == 1).all(), "a predicted token does not see itself"
        both = np.ix_(predicted[row], predicted[row])
        pairs = mask[both] + mask[both].T
        np.fill_diagonal(pairs, 1)
        assert (pairs == 1).all(), "of two predicted tokens exactly one sees the other"
    with pytest.raises(InputError, match="even"):
        collator([row[:15] for row in rows])


@pytest.mark.parametrize("kind", ["pt", "np"])
def test_flattening(kind: str) -> None:
    rows = [{"input_ids": [1, 2, 3]}, {"input_ids": [4, 5]}]
    collator = rayformers.DataCollatorWithFlattening(kind, return_flash_attn_kwargs=True, return_seq_idx=True)
    batch = collator(rows)
    assert batch["input_ids"].tolist() == [[1, 2, 3, 4, 5]]
    assert batch["labels"].tolist() == [[-100, 2, 3, -100, 5]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 0, 1]]
    assert batch["seq_idx"].tolist() == [[0, 0, 0, 1, 1]]
    assert batch["cu_seq_lens_q"].tolist() == batch["cu_seq_lens_k"].tolist() == [0, 3, 5]
    assert batch["max_length_q"] == batch["max_length_k"] == 3
    assert rows[0]["input_ids"] == [1, 2, 3]
    labelled = rayformers.DataCollatorWithFlattening(separator_id=0, return_position_ids=False)
    assert labelled([{"input_ids": [1, 2], "labels": [8, 9]}])["labels"].tolist() == [[0, 9]]


@pytest.mark.parametrize("kind", ["pt", "np"])
def test_the_same_draws_as_the_reference(
    bert: BertTokenizer, rows: list[dict[str, Any]], kind: str, tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    theirs = transformers.BertTokenizerFast.from_pretrained(bert_folder(tmp_path))
    options: Any = {"mlm_probability": 0.3, "mask_replace_prob": 0.6, "return_tensors": kind}
    for seed in (None, 4):
        batches = []
        for package, tokenizer in ((rayformers, bert), (transformers, theirs)):
            rayformers.set_seed(2)
            batches.append(
                package.DataCollatorForLanguageModeling(tokenizer, seed=seed, **options)([dict(row) for row in rows])
            )
        for name in ("input_ids", "labels", "attention_mask"):
            np.testing.assert_array_equal(np.asarray(batches[0][name]), np.asarray(batches[1][name]))
