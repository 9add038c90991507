"""A SentencePiece model as SentencePiece itself uses it: text to pieces and back, without any model's ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from .sentence_piece import UNDERLINE, merges_of, plain_scores
from .sentencepiece_file import BPE, BYTE, CONTROL, UNKNOWN, USER_DEFINED, read_sentencepiece


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
        self._silent = {piece.text for piece in model.pieces if piece.kind == CONTROL}
        self._unknown = {piece.text for piece in model.pieces if piece.kind == UNKNOWN}
        scores = plain_scores(model)
        # Control pieces never come from text: no text contains their private names.
        names = [f"\ufdd0{index}" if text in self._silent else text for index, (text, _) in enumerate(scores)]
        vocabulary = [(name, score) for name, (_, score) in zip(names, scores, strict=True)]
        if model.model_type == BPE:
            ids = {name: index for index, name in enumerate(names)}
            backend: Any = models.BPE(
                ids, merges_of(ids, vocabulary), unk_token=model.unk_piece, fuse_unk=True, byte_fallback=model.byte_fallback
            )
        else:
            backend = models.Unigram(vocabulary, model.unk_id, model.byte_fallback)
        self._tokenizer = Tokenizer(backend)
        self._tokenizer.add_tokens(
            [AddedToken(piece.text, normalized=False) for piece in model.pieces if piece.kind == USER_DEFINED]
        )
        steps: list[Any] = [normalizers.Precompiled(model.charsmap)] if model.charsmap else []
        if model.remove_extra_whitespaces:
            steps += [normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
        if steps:
            self._tokenizer.normalizer = normalizers.Sequence(steps)
        scheme = "first" if model.add_dummy_prefix else "never"
        self._tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=UNDERLINE, prepend_scheme=scheme, split=False)
        self._is_bpe = model.model_type == BPE

    def encode(self, text: str) -> list[str]:
        """The pieces of a text; characters that the model does not know are pieces of their own."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return [
            _surface(text, start, end) if token in self._unknown else token
            for token, (start, end) in zip(encoding.tokens, encoding.offsets, strict=True)
        ]

    def decode(self, pieces: list[str]) -> str:
        """The text of pieces."""
        parts: list[str] = []
        pending = bytearray()
        for piece in pieces:
            if piece in self._bytes:
                pending.append(self._bytes[piece])
                continue
            if pending:
                parts.append(pending.decode("utf-8", errors="replace"))
                pending.clear()
            if piece not in self._silent:
                parts.append(" \u2047 " if piece in self._unknown else piece)
        parts.append(pending.decode("utf-8", errors="replace"))
        text = "".join(parts).replace(UNDERLINE, " ")
        return text[1:] if text.startswith(" ") and pieces and pieces[0].startswith(UNDERLINE) else text


def _surface(text: str, start: int, end: int) -> str:
    return text[start:end].replace(" ", UNDERLINE)
