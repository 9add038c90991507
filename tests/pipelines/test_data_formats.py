"""Pipelines on files and pipes, by their classes and by `rayformers predict`."""

from __future__ import annotations

import csv
import io
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from tests.pipelines.samples import folder_of, sentence

from rayformers.cli.main import main
from rayformers.errors import ConfigError, InputError, NotFoundError, UnknownNameError
from rayformers.pipelines.data_formats import (
    CsvPipelineDataFormat,
    JsonPipelineDataFormat,
    PipedPipelineDataFormat,
    PipelineDataFormat,
)

ROWS = [{"text": "one, two", "body": 'a "quoted"\nline'}, {"text": "trois é", "body": "b"}]


@pytest.fixture
def table(tmp_path: Path) -> str:
    with (tmp_path / "rows.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, ["text", "body"])
        writer.writeheader()
        writer.writerows(ROWS)
    return str(tmp_path / "rows.csv")


def test_a_name_gives_its_class(table: str, tmp_path: Path) -> None:
    found = PipelineDataFormat.from_str("csv", str(tmp_path / "out.csv"), table, "text")
    assert type(found) is CsvPipelineDataFormat
    assert type(PipelineDataFormat.from_str("pipe", None, None, None)) is PipedPipelineDataFormat
    with pytest.raises(UnknownNameError, match="Did you mean 'json'"):
        PipelineDataFormat.from_str("jsn", None, table, "text")


def test_columns_of_a_csv_file(table: str) -> None:
    assert list(CsvPipelineDataFormat(None, table, "text")) == ["one, two", "trois é"]
    several = CsvPipelineDataFormat(None, table, "question=text,context=body")
    assert list(several) == [{"question": row["text"], "context": row["body"]} for row in ROWS]
    assert list(CsvPipelineDataFormat(None, table, "text,body")) == ROWS
    assert next(iter(CsvPipelineDataFormat(None, table, "query=text"))) == {"query": "one, two"}


def test_columns_of_a_json_file(tmp_path: Path) -> None:
    for name, text in (("list.json", json.dumps(ROWS)), ("lines.jsonl", "\n".join(json.dumps(row) for row in ROWS))):
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        assert list(JsonPipelineDataFormat(None, str(file), "text")) == ["one, two", "trois é"]


def test_lines_of_a_pipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("first\tlong text\nsecond\tother\n"))
    pipe = PipedPipelineDataFormat(None, None, "question,context")
    assert list(pipe) == [
        {"question": "first", "context": "long text"}, {"question": "second", "context": "other"}
    ]  # fmt: skip
    pipe.save([{"answer": "é"}, {"answer": 2}])
    assert capsys.readouterr().out.splitlines() == ['{"answer": "é"}', '{"answer": 2}']
    monkeypatch.setattr("sys.stdin", io.StringIO("only one\n"))
    with pytest.raises(InputError, match="Line 1 of stdin has 1 columns"):
        list(pipe)


def test_answers_come_back_from_what_was_saved(table: str, tmp_path: Path) -> None:
    answers = [{"label": "a, b", "score": 0.5}, {"label": "é\n", "score": 0.25, "more": [1, 2]}]
    out = tmp_path / "deep" / "out.csv"
    CsvPipelineDataFormat(str(out), table, "text").save(answers)
    with out.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert rows[0] == {"label": "a, b", "score": "0.5", "more": ""}
    assert (rows[1]["label"], json.loads(rows[1]["more"])) == ("é\n", [1, 2])
    JsonPipelineDataFormat(str(tmp_path / "out.json"), table, "text").save(answers)
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8")) == answers


def test_binary_answers_are_pickled_beside_the_output(table: str, tmp_path: Path) -> None:
    made = CsvPipelineDataFormat(str(tmp_path / "out.csv"), table, "text")
    path = made.save_binary({"audio": b"\x00\x01"})
    assert path == str(tmp_path / "out.pickle")
    assert pickle.loads(Path(path).read_bytes()) == {"audio": b"\x00\x01"}
    with pytest.raises(ConfigError, match="name an output"):
        PipedPipelineDataFormat(None, None, None).save_binary(b"")


def test_a_failed_save_leaves_nothing_and_keeps_what_was_there(table: str, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    out.write_text("before")
    with pytest.raises(TypeError, match="no JSON form"):
        JsonPipelineDataFormat(str(out), table, "text", overwrite=True).save([{"x": object()}])
    assert out.read_text() == "before"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out.json", "rows.csv"]


BAD: dict[str, tuple[str | None, Any, str]] = {
    "column that is missing": ("text,body\na,b\n", "txt", "no column 'txt'; it has 'text', 'body'"),
    "row with too many values": ("text\na,b\n", "text", "more values than the header"),
    "row with too few values": ("text,body\na\n", "body", "no value for 'body'"),
    "no column named": ("text\na\n", None, "needs the column"),
    "half a mapping": ("text\na\n", "text=", "question=q,context=body"),
    "no such file": (None, "text", "is no file"),
    "not UTF-8": ("text\n\udcff\n", "text", "not readable as CSV"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_table_says_what_is_wrong(name: str, tmp_path: Path) -> None:
    content, column, message = BAD[name]
    file = tmp_path / "rows.csv"
    if content is not None:
        file.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises((InputError, ConfigError, NotFoundError), match=message):
        list(CsvPipelineDataFormat(None, str(file), column))


@pytest.mark.parametrize("content", ["{", "[1, 2]", '"text"', "[{]"])
def test_bad_json_says_what_is_wrong(content: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_text(content)
    with pytest.raises(InputError, match=r"rows\.json"):
        list(JsonPipelineDataFormat(None, str(file), "text"))


# -- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(folder_of("text-classification", tmp_path_factory.mktemp("bert")))


def predict(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(["predict", *arguments])
    out, error = capsys.readouterr()
    return int(end.value.code or 0), out, error


def test_predict_from_a_table_to_a_file(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], table: str
) -> None:
    out = tmp_path / "out.json"
    task = ("text-classification", "--model", folder)
    source = ("--input", table, "--column", "text")
    code, printed, error = predict(capsys, *task, *source, "--output", str(out), "--format", "csv", "--batch-size", "2")
    assert (code, printed, error) == (0, "", "")
    saved = json.loads(out.read_text(encoding="utf-8"))
    code, printed, _ = predict(capsys, *task, *(row["text"] for row in ROWS))
    direct = [json.loads(line) for line in printed.splitlines()]
    assert [answer["label"] for answer in saved] == [answer["label"] for answer in direct]
    assert [answer["score"] for answer in saved] == pytest.approx([answer["score"] for answer in direct], abs=1e-4)
    code, _, error = predict(capsys, *task, *source, "--output", str(out))
    assert code == 2
    assert "--overwrite" in error
    code, printed, _ = predict(capsys, *task, *source)
    assert [json.loads(line)["label"] for line in printed.splitlines()] == [answer["label"] for answer in saved]
    code, _, _ = predict(capsys, *task, *source, "--output", str(tmp_path / "out.csv"))
    with (tmp_path / "out.csv").open(newline="") as stream:
        assert [row["label"] for row in csv.DictReader(stream)] == [answer["label"] for answer in saved]


def test_predict_through_a_pipe(
    folder: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{sentence(3)}\t{sentence(9)}\n"))
    columns = ("--format", "pipe", "--column", "text,text_pair")
    code, printed, _ = predict(capsys, "text-classification", "--model", folder, *columns)
    assert code == 0
    assert set(json.loads(printed)) == {"label", "score"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "something to read"),
        (("a text", "--input", "rows.csv"), "not both"),
        (("a text", "--column", "text"), "--column belongs to --input"),
        (("--input", "none.csv", "--column", "text"), "none.csv is no file"),
        (("--input", __file__), "needs the column"),
        (("--input", "none.csv", "--format", "xml"), "Unknown data format 'xml'"),
    ],
)
def test_wrong_options_say_so(arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, error = predict(capsys, "text-classification", "--model", "x", *arguments)
    assert (code, out) == (2, "")
    assert message in error
    assert "Traceback" not in error
