"""The support table of README, made from the cases that the parity tests run.

python -m tests.parity.support          # print it
python -m tests.parity.support --write  # put it into README
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from rayformers.models.catalog import CATALOG

README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- support table: begin -->", "<!-- support table: end -->"
COLUMNS = {
    "base": ("Model", "EncoderModel"),
    "causal LM": ("ForCausalLM", "LMHeadModel"),
    "masked LM": ("ForMaskedLM", "ForMaskedImageModeling"),
    "seq2seq": ("ForConditionalGeneration", "MTModel"),
    "classify": ("ForSequenceClassification", "ForImageClassification"),
    "tokens": ("ForTokenClassification",),
    "question": ("ForQuestionAnswering", "ForQuestionAnsweringSimple"),
    "choice": ("ForMultipleChoice",),
    "pre-training": ("ForPreTraining", "ForNextSentencePrediction"),
}


def tested() -> dict[str, set[str]]:
    """model_type -> class suffixes that are compared with the reference."""
    found: dict[str, set[str]] = {}
    for file in sorted(Path(__file__).parent.glob("test_*.py")):
        module = importlib.import_module(f"tests.parity.{file.stem}")
        for case in getattr(module, "CASES", ()):
            found.setdefault(case.model_type, set()).update(case.suffixes())
    return found


def table() -> str:
    """The table in Markdown, architectures by name."""
    found = tested()
    lines = [f"| architecture | {' | '.join(COLUMNS)} |", "|---|" + "---|" * len(COLUMNS)]
    for model_type in sorted(found):
        cells = ["x" if found[model_type] & set(suffixes) else "" for suffixes in COLUMNS.values()]
        lines.append(f"| {model_type} | {' | '.join(cells)} |")
    return "\n".join(lines)


def in_readme() -> str:
    """The table that README holds."""
    text = README.read_text(encoding="utf-8")
    return text[text.index(BEGIN) + len(BEGIN) : text.index(END)].strip()


def write() -> None:
    """Put the table into README."""
    text = README.read_text(encoding="utf-8")
    before, after = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    README.write_text(f"{before}\n{table()}\n{after}", encoding="utf-8")


def untested() -> list[str]:
    """Classes of the catalog that no case compares."""
    found = tested()
    return [
        row.prefix + suffix
        for model_type, row in CATALOG.items()
        for suffix in row.classes
        if suffix not in found.get(model_type, set())
    ]


if __name__ == "__main__":
    if "--write" in sys.argv:
        write()
    sys.stdout.write(table() + "\n")
    sys.stdout.write(f"not compared: {', '.join(untested()) or 'none'}\n")
