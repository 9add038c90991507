"""vocab.json and merges.txt to byte-pair tokenizers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from ...errors import CheckpointError, InputError, NotFoundError

_QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_CLIP = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"

Merges = list[tuple[str, str]]


def read_json_vocabulary(path: Path) -> dict[str, int]:
    """The tokens and ids in a vocab.json.

    Raises:
        NotFoundError: there is no such file.
        CheckpointError: it is no JSON object of ids.
    """
    if not path.is_file():
        raise NotFoundError(f"There is no vocabulary {path}")
    try:
        vocabulary = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path} is no valid JSON: {error}. Copy or download it again.") from error
    if not isinstance(vocabulary, dict) or not all(isinstance(index, int) for index in vocabulary.values()):
        raise CheckpointError(f"{path} is no vocabulary: expected a JSON object with an id for each token")
    return vocabulary


def read_merges(path: Path) -> Merges:
    """The pairs in a merges.txt, in order.

    Raises:
        NotFoundError: there is no such file.
        CheckpointError: a line is no pair.
    """
    if not path.is_file():
        raise NotFoundError(f"There is no merges file {path}")
    merges: Merges = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n")):
        if not line.strip() or (number == 0 and line.startswith("#version")):
            continue
        pair = line.split()
        if len(pair) != 2:
            raise CheckpointError(f"{path}, line {number + 1}: expected two tokens, got {line!r:.60}")
        merges.append((pair[0], pair[1]))
    return merges


def _model(vocab_file: Any, merges_file: Any, vocab: Any, merges: Any, **options: Any) -> Tokenizer:
    if vocab is None and merges_file is None:
        raise InputError(
            f"A byte-pair vocabulary needs its merges: {vocab_file} came without a merges_file (merges.txt)"
        )
    vocabulary = dict(vocab) if vocab is not None else read_json_vocabulary(Path(vocab_file))
    pairs = read_merges(Path(merges_file)) if merges is None else [_pair(merge) for merge in merges]
    try:
        return Tokenizer(models.BPE(vocabulary, pairs, fuse_unk=False, **options))
    except Exception as error:  # the library raises bare Exception
        raise CheckpointError(f"The vocabulary and the merges do not belong together: {error}") from error


def _pair(merge: Any) -> tuple[str, str]:
    first, second = merge.split() if isinstance(merge, str) else merge
    return first, second


def byte_level(settings: dict[str, Any], **sources: Any) -> Tokenizer:
    """GPT-2's tokenizer; settings: add_prefix_space."""
    tokenizer = _model(**sources, continuing_subword_prefix="", end_of_word_suffix="")
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=bool(settings.get("add_prefix_space", False)))
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def qwen2(settings: dict[str, Any], **sources: Any) -> Tokenizer:
    """Qwen2's tokenizer: NFC, and another way to cut text into words."""
    tokenizer = _model(**sources, continuing_subword_prefix="", end_of_word_suffix="")
    tokenizer.normalizer = normalizers.NFC()
    prefix = bool(settings.get("add_prefix_space", False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_QWEN2), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def clip(settings: dict[str, Any], **sources: Any) -> Tokenizer:
    """CLIP's tokenizer: lower case, words that end in </w>."""
    unknown = str(settings.get("unk_token", "<|endoftext|>"))
    tokenizer = _model(**sources, continuing_subword_prefix="", end_of_word_suffix="</w>", unk_token=unknown)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_CLIP), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer
