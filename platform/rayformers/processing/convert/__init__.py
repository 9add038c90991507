"""Older vocabularies (vocab.txt, vocab.json, SentencePiece models) to `tokenizers.Tokenizer`s and back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...registry import Registry

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from ..tokenizer import PreTrainedTokenizerFast

CONVERTERS: Registry[Callable[..., Tokenizer]] = Registry("tokenizer conversion")
"""Functions of (vocab_file, merges_file, vocab, merges, settings); they leave the post-processor to the class."""

CONVERTERS.add("word_piece", target=f"{__name__}.word_piece:word_piece")
for _name in ("byte_level", "qwen2", "clip"):
    CONVERTERS.add(_name, target=f"{__name__}.byte_level:{_name}")
for _name in (
    "plain", "t5", "xlm_roberta", "mbart", "mbart50", "nllb", "camembert", "pegasus", "albert", "deberta_v2", "llama",
    "gemma",
):  # fmt: skip
    CONVERTERS.add(_name, target=f"{__name__}.sentence_piece_models:{_name}")


def convert(name: str, **sources: Any) -> Tokenizer:
    """The tokenizer that the conversion `name` makes of a vocabulary."""
    return CONVERTERS.get(name)(**sources)


def save_older_vocabulary(tokenizer: PreTrainedTokenizerFast, folder: Path, prefix: str | None) -> tuple[str, ...]:
    """Write the older form of the vocabulary where the class has one, and return the paths."""
    import shutil

    names = set(tokenizer.vocab_files_names.values())
    model = type(tokenizer.backend_tokenizer.model).__name__
    if (model == "WordPiece" and "vocab.txt" in names) or (model == "BPE" and "merges.txt" in names):
        return tuple(tokenizer.backend_tokenizer.model.save(str(folder), prefix))
    source = tokenizer.vocab_file
    name = tokenizer.vocab_files_names.get("vocab_file", "")
    if name.endswith(".model") and source and Path(source).is_file():
        target = folder / (f"{prefix}-{name}" if prefix else name)
        if Path(source).resolve() != target.resolve():
            shutil.copyfile(source, target)
        return (str(target),)
    return ()
