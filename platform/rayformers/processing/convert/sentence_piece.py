"""SentencePiece models to tokenizers: the common part. The models' own vocabularies are in `sentence_piece_models`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from .sentencepiece_file import BPE, CONTROL, USER_DEFINED, SentencePieceFile

Scores = list[tuple[str, float]]
UNDERLINE = "▁"


def prepend_scheme(settings: Mapping[str, Any]) -> str:
    """Where the pre-tokenizer puts a space: before every part of a text, before the first one only, or nowhere."""
    add = settings.get("add_prefix_space")
    if add is False:
        return "never"
    return "always" if settings.get("legacy") in (None, True) else "first"


def assemble(
    model: SentencePieceFile,
    settings: Mapping[str, Any],
    scores: Scores | None = None,
    unk_id: int | None = None,
    byte_fallback: bool = False,
    special: Iterable[str] = (),
    extra_pieces: Mapping[str, int] | None = None,
) -> Tokenizer:
    """The tokenizer with SentencePiece's own normalisation and word boundaries.

    Args:
        scores: the vocabulary in the order of its ids, where it is not that of the file.
        unk_id: the id of the unknown token, where it is not that of the file.
        byte_fallback: whether characters outside of the vocabulary become byte tokens.
        special: user-defined pieces that are special tokens.
        extra_pieces: pieces for merges that the file lacks, with their ids.
    """
    scores = plain_scores(model) if scores is None else scores
    if model.model_type == BPE:
        ids = {piece.text: index for index, piece in enumerate(model.pieces)} | dict(extra_pieces or {})
        backend: Any = models.BPE(
            {text: index for index, (text, _) in enumerate(scores)},
            merges_of(ids, scores),
            unk_token=model.unk_piece,
            fuse_unk=True,
            byte_fallback=byte_fallback,
        )
    else:
        backend = models.Unigram(scores, model.unk_id if unk_id is None else unk_id, byte_fallback)
    tokenizer = Tokenizer(backend)
    special = set(special)
    tokenizer.add_tokens(
        [
            AddedToken(piece.text, normalized=False, special=piece.kind == CONTROL or piece.text in special)
            for piece in model.pieces
            if piece.kind in (CONTROL, USER_DEFINED)
        ]
    )
    steps: list[Any] = [normalizers.Precompiled(model.charsmap)] if model.charsmap else []
    steps += [normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), UNDERLINE)]
    tokenizer.normalizer = normalizers.Sequence(steps)
    scheme = prepend_scheme(settings)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=UNDERLINE, prepend_scheme=scheme)
    tokenizer.decoder = decoders.Metaspace(replacement=UNDERLINE, prepend_scheme=scheme)
    return tokenizer


def plain_scores(model: SentencePieceFile, start: int = 0) -> Scores:
    """The file's own vocabulary, from piece `start` on."""
    return [(piece.text, piece.score) for piece in model.pieces[start:]]


def merges_of(ids: Mapping[str, int], scores: Sequence[tuple[str, float]]) -> list[tuple[str, str]]:
    """The merges that a vocabulary of scored pieces stands for, the best first."""
    merges: list[tuple[str, str, float]] = []
    for text, score in dict(scores).items():
        cuts = [(text[:cut], text[cut:]) for cut in range(1, len(text))]
        known = [pair for pair in cuts if pair[0] in ids and pair[1] in ids]
        known.sort(key=lambda pair: (ids[pair[0]], ids[pair[1]]))
        merges += [(first, second, score) for first, second in known]
    merges.sort(key=lambda merge: (merge[2], len(merge[0]), len(merge[1])), reverse=True)
    return [(first, second) for first, second, _ in merges]
