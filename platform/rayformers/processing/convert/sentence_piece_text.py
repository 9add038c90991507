"""A SentencePiece model as SentencePiece itself uses it: text to pieces and back, without any model's ids."""

from __future__ import annotations

import re
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, models, normalizers

from .sentence_piece import UNDERLINE, merges_of, plain_scores
from .sentencepiece_file import BPE, BYTE, CONTROL, UNKNOWN, USER_DEFINED, SentencePieceFile, read_sentencepiece

_PRIVATE = "\ufdd0"  # a noncharacter, which Unicode reserves for internal use
_LONE = re.compile("[\udc80-\udcff]")


class SentencePieces:
    """Text to the pieces of a model, and pieces to text.

    Args:
        path: the model's file.

    Raises:
        NotFoundError: there is no such file.
        CheckpointError: it is no SentencePiece model.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        model = read_sentencepiece(self.path)
        self.pieces = [piece.text for piece in model.pieces]
        self._bytes = {piece.text: int(piece.text[3:5], 16) for piece in model.pieces if piece.kind == BYTE}
        self._known = set(self.pieces)
        self._control = {piece.text for piece in model.pieces if piece.kind == CONTROL}
        self._unknown = {piece.text for piece in model.pieces if piece.kind == UNKNOWN}
        self._prefix, self._collapse = model.add_dummy_prefix, model.remove_extra_whitespaces
        self._charsmap = normalizers.Precompiled(model.charsmap) if model.charsmap else None
        self._hidden = f"{_PRIVATE}{model.unk_id}"
        self._tokenizer = self._backend(model)

    def _backend(self, model: SentencePieceFile) -> Tokenizer:
        # Control and unknown pieces never come from text: they get names that no text contains.
        names = [
            f"{_PRIVATE}{index}" if piece.kind in (CONTROL, UNKNOWN) else piece.text
            for index, piece in enumerate(model.pieces)
        ]
        scores = [(name, score) for name, (_, score) in zip(names, plain_scores(model), strict=True)]
        if model.model_type == BPE:
            ids = {name: index for index, name in enumerate(names)}
            tokenizer = Tokenizer(
                models.BPE(
                    ids,
                    merges_of(ids, scores),
                    unk_token=self._hidden,
                    fuse_unk=True,
                    byte_fallback=model.byte_fallback,
                )
            )
        else:
            tokenizer = Tokenizer(models.Unigram(scores, model.unk_id, model.byte_fallback))
        tokenizer.add_tokens(
            [AddedToken(piece.text, normalized=False) for piece in model.pieces if piece.kind == USER_DEFINED]
        )
        return tokenizer

    def normalize(self, text: str) -> str:
        """The text as the model's pieces spell it."""
        if self._charsmap is not None:
            text = self._charsmap.normalize_str(text)
        if self._collapse:
            text = " ".join(part for part in text.split(" ") if part)
        if text and self._prefix:
            text = " " + text
        text = text.replace(" ", UNDERLINE)
        return text.rstrip(UNDERLINE) if self._collapse else text

    def encode(self, text: str) -> list[str]:
        """The pieces of a text; characters that the model does not know are pieces of their own."""
        text = self.normalize(text)
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return [
            text[slice(*span)] if token == self._hidden else token
            for token, span in zip(encoding.tokens, encoding.offsets, strict=True)
        ]

    def decode(self, pieces: list[str]) -> str:
        """The text of pieces."""
        text = ""
        pending = bytearray()
        at_start = self._prefix or self._collapse
        for piece in [*pieces, ""]:
            if piece in self._bytes:
                pending.append(self._bytes[piece])
                continue
            if pending:
                # An invalid byte becomes one replacement character, not a run of them.
                text += _LONE.sub("\ufffd", pending.decode("utf-8", errors="surrogateescape"))
                pending.clear()
            if piece in self._control:
                continue
            if piece in self._unknown:
                piece = " \u2047 "
            elif piece not in self._known:
                text += piece
                continue
            if at_start and not text and piece.startswith(UNDERLINE):
                piece = piece[1:]
                at_start = self._collapse
            text += piece.replace(UNDERLINE, " ")
        return text
