"""Reading SentencePiece models (spiece.model, tokenizer.model, ...), which are protocol buffers."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator
from pathlib import Path

from ...errors import CheckpointError, NotFoundError

UNIGRAM, BPE = 1, 2
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Piece:
    """One entry of the vocabulary; `kind` is NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED or BYTE."""

    text: str
    score: float = 0.0
    kind: int = NORMAL


@dataclasses.dataclass(frozen=True, kw_only=True)
class SentencePieceFile:
    """What a model file holds, as far as tokenization needs it."""

    pieces: list[Piece]
    model_type: int = UNIGRAM
    byte_fallback: bool = False
    unk_id: int = 0
    unk_piece: str = "<unk>"
    charsmap: bytes = b""
    add_dummy_prefix: bool = True
    remove_extra_whitespaces: bool = True


def read_sentencepiece(path: Path) -> SentencePieceFile:
    """The model in a file.

    Raises:
        NotFoundError: there is no such file.
        CheckpointError: it is no SentencePiece model, or a truncated one.
    """
    if not path.is_file():
        raise NotFoundError(f"There is no SentencePiece model {path}")
    try:
        model = _parse(path.read_bytes())
    except (IndexError, struct.error, UnicodeDecodeError, ValueError) as error:
        raise CheckpointError(
            f"{path} is no complete SentencePiece model ({error}). Copy or download it again."
        ) from error
    if not model.pieces:
        raise CheckpointError(f"{path} is no SentencePiece model: it holds no pieces")
    if model.model_type not in (UNIGRAM, BPE):
        raise CheckpointError(f"{path} is a SentencePiece model of words or characters: only unigram and BPE are read")
    return model


def _parse(data: bytes) -> SentencePieceFile:
    pieces: list[Piece] = []
    trainer: dict[int, int | bytes] = {}
    normalizer: dict[int, int | bytes] = {}
    for field, value in _fields(data):
        if not isinstance(value, bytes):
            continue
        if field == 1:
            pieces.append(_piece(value))
        elif field == 2:
            trainer = dict(_fields(value))
        elif field == 3:
            normalizer = dict(_fields(value))
    return SentencePieceFile(
        pieces=pieces,
        model_type=_number(trainer, 3, UNIGRAM),
        byte_fallback=bool(_number(trainer, 35, 0)),
        unk_id=_number(trainer, 40, 0),
        unk_piece=_text(trainer, 45, "<unk>"),
        charsmap=_bytes(normalizer, 2),
        add_dummy_prefix=bool(_number(normalizer, 3, 1)),
        remove_extra_whitespaces=bool(_number(normalizer, 4, 1)),
    )


def _piece(data: bytes) -> Piece:
    fields = dict(_fields(data))
    score = fields.get(2, b"\0\0\0\0")
    if not isinstance(score, bytes):
        raise ValueError("a score is no float")
    return Piece(text=_text(fields, 1, ""), score=struct.unpack("<f", score)[0], kind=_number(fields, 3, NORMAL))


def _number(fields: dict[int, int | bytes], field: int, default: int) -> int:
    value = fields.get(field, default)
    if not isinstance(value, int):
        raise ValueError(f"field {field} is no number")
    return value


def _bytes(fields: dict[int, int | bytes], field: int) -> bytes:
    value = fields.get(field, b"")
    if not isinstance(value, bytes):
        raise ValueError(f"field {field} is no string")
    return value


def _text(fields: dict[int, int | bytes], field: int, default: str) -> str:
    return _bytes(fields, field).decode() if field in fields else default


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The (number, value) of each field of a message: varints as ints, everything else as bytes."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        field, wire = key >> 3, key & 7
        if wire == 0:
            value, position = _varint(data, position)
            yield field, value
            continue
        if wire == 2:
            size, position = _varint(data, position)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"unknown wire type {wire}")
        if position + size > len(data):
            raise ValueError("it ends within a field")
        yield field, data[position : position + size]
        position += size


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, position
        shift += 7
