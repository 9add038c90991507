"""vocab.txt (one token a line) to a WordPiece tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from ...errors import CheckpointError, NotFoundError


def read_vocabulary(path: Path) -> dict[str, int]:
    """Tokens to line numbers.

    Raises:
        NotFoundError: there is no such file.
        CheckpointError: it is empty or no UTF-8 text.
    """
    if not path.is_file():
        raise NotFoundError(f"There is no vocabulary {path}")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path} is no UTF-8 text: {error}") from error
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    if not lines:
        raise CheckpointError(f"{path} holds no tokens")
    return {token.rstrip("\r"): index for index, token in enumerate(lines)}


def word_piece(vocab_file: Any, vocab: Any, settings: dict[str, Any], **_: Any) -> Tokenizer:
    """BERT's tokenizer; settings: do_lower_case, strip_accents, tokenize_chinese_chars."""
    vocabulary = dict(vocab) if vocab is not None else read_vocabulary(Path(vocab_file))
    unknown = str(settings.get("unk_token", "[UNK]"))
    vocabulary.setdefault(unknown, len(vocabulary))
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=unknown, max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
        strip_accents=settings.get("strip_accents"),
        lowercase=settings.get("do_lower_case", True),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    return tokenizer
