"""TAPAS's tokenizer: tables with questions."""

from __future__ import annotations

import math

import numpy as np
import pandas
import pytest
from tests.unit.processing.tokenizer_samples import bert_folder

from rayformers.errors import InputError, InputTypeError
from rayformers.processing.tokenizer_auto import AutoTokenizer
from rayformers.processing.tokenizer_models.tapas_numbers import Value, column_values, ranks, relations, values_in

TABLE = {"name": ["the", "a", "with", "is"], "value": ["30", "7", "12", "n/a"]}


@pytest.fixture(scope="module")
def tapas(tmp_path_factory):
    folder = bert_folder(tmp_path_factory.mktemp("tapas"))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "TapasTokenizer", "model_max_length": 64}')
    return AutoTokenizer.from_pretrained(folder)


def test_every_token_knows_its_cell(tapas):
    encoded = tapas(TABLE, "is the value greater than 8?", return_tensors="np")
    types = encoded["token_type_ids"][0]
    tokens = tapas.convert_ids_to_tokens(encoded["input_ids"][0])
    assert types.shape == (len(tokens), 7)
    cell = [index for index in range(len(tokens)) if tuple(types[index][:3]) == (1, 2, 1)]
    assert tapas.convert_tokens_to_string([tokens[index] for index in cell]).replace(" ", "") == "30"
    # 30 is the last of three numbers, and greater than 8.
    assert {tuple(types[index][4:]) for index in cell} == {(3, 1, 2)}
    assert tokens[-1] == "[EMPTY]"
    header = types[:, 2] == 0
    assert (types[header & (types[:, 0] == 1)][:, 1] > 0).all()


def test_tables_of_any_form_are_equal(tapas):
    frame = tapas(pandas.DataFrame(TABLE), "value?")
    rows = [dict(zip(TABLE, row, strict=True)) for row in zip(*TABLE.values(), strict=True)]
    assert frame.data == tapas(TABLE, "value?").data == tapas(rows, "value?").data
    assert tapas({"value": [30]}, "?")["input_ids"] == tapas({"value": ["30"]}, "?")["input_ids"]


def test_answers_become_labels(tapas):
    encoded = tapas(
        TABLE,
        ["what is the value?", "and a?"],
        answer_coordinates=[[(0, 1)], [(1, 1)]],
        answer_text=[["30"], ["7"]],
        padding="max_length",
        return_tensors="np",
    )
    assert encoded["labels"].shape == encoded["input_ids"].shape == (2, 64)
    first = encoded["token_type_ids"][0][encoded["labels"][0] == 1]
    assert {tuple(row[1:3]) for row in first} == {(2, 1)}
    assert (encoded["token_type_ids"][1][:, 3] == (encoded["token_type_ids"][1][:, :3] == (1, 2, 1)).all(axis=1)).all()
    numbers = encoded["numeric_values"][0]
    assert set(numbers[~np.isnan(numbers)]) == {30.0, 7.0, 12.0}
    assert math.isnan(numbers[-1])
    assert encoded["numeric_values_scale"][0][-1] == 1.0
    with pytest.raises(InputError, match=r"\(9, 1\)"):
        tapas(TABLE, "?", answer_coordinates=[(9, 1)], answer_text=["30"])


def test_rows_are_dropped_to_fit(tapas):
    long = {"name": ["the statement"] * 60, "value": ["7"] * 60}
    with pytest.raises(InputError, match="truncation=True"):
        tapas(long, "value?", max_length=32)
    encoded = tapas(long, "value?", truncation=True, max_length=32)
    assert len(encoded["input_ids"]) <= 32
    rows = max(row[2] for row in encoded["token_type_ids"])
    assert 0 < rows < 60
    assert len(tapas(long, "value?", truncation=True, max_length=40)["input_ids"]) > len(encoded["input_ids"])


def test_logits_become_cells(tapas):
    inputs = tapas(TABLE, ["what?", "who is it?"], padding=True, return_tensors="pt")
    wanted = (inputs["token_type_ids"][:, :, :3] == inputs["token_type_ids"].new_tensor([1, 1, 2])).all(-1)
    logits = wanted.float() * 20 - 10
    answers = tapas.convert_logits_to_predictions(inputs, logits)
    assert answers == ([[(1, 0)], [(1, 0)]],)
    both = tapas.convert_logits_to_predictions(inputs, logits, np.array([[0.0, 2.0], [3.0, 1.0]]))
    assert both[1] == [1, 0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t("no table", "?"), "DataFrame"),
        (lambda t: t(TABLE, [1]), "list of strings"),
        (lambda t: t(TABLE, []), "at least one"),
        (lambda t: t({"a": ["1"], "b": []}, "?"), "different lengths"),
        (lambda t: t(TABLE, "?", truncation="only_first"), "drop_rows_to_fit"),
        (lambda t: t(TABLE, "?", answer_text=["30"]), "both answer_coordinates"),
        (lambda t: t(TABLE, "?", return_overflowing_tokens=True), "no overflowing"),
        (lambda t: t({str(index): ["x"] for index in range(70)}, "?"), "70 columns"),
        (lambda t: t({"a": ["x"] * 70}, "?"), "70 rows"),
    ],
)
def test_bad_tables(tapas, call, message):
    with pytest.raises((InputError, InputTypeError), match=message):
        call(tapas)


def test_numbers_and_dates_in_text():
    assert values_in("1,234.5 and three, the 5th") == [Value(1234.5), Value(3.0), Value(5.0)]
    assert values_in("july 4, 1776") == [Value(date=(1776.0, 7.0, 4.0))]
    assert values_in("may 12") == [Value(date=(None, 5.0, 12.0))]
    assert values_in("may 5, 1600") == [Value(date=(None, 5.0, 5.0)), Value(1600.0)]
    assert values_in("march 2001") == [Value(date=(2001.0, 3.0, None))]
    assert column_values(["1", "two", "x"], least_share=0.9) == {}
    column = column_values(["1", "two", "2.5 km", "10"])
    assert ranks(column) == ({0: 1, 1: 2, 2: 3, 3: 4}, {0: 4, 1: 3, 2: 2, 3: 1})
    assert relations([Value(2.0), Value(10.0)], column) == {0: 4, 1: 5, 2: 6, 3: 3}
