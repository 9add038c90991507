"""Small tokenizers of every kind, trained on prose of the standard library."""

from __future__ import annotations

import io
import json
from functools import cache
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

BERT_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TEXTS = [
    "The with statement wraps a block.",
    "naïve café  Größe\tÜber\n東京は日本",
    "",
    "I'm  here - you're there, don't we'll",
    "emoji 😀 and <mask> or [MASK]!",
]


@cache
def corpus() -> tuple[str, ...]:
    """Real English lines."""
    lines = [line.strip() for name in sorted(topics)[:25] for line in topics[name].splitlines()]
    return tuple(line for line in lines if len(line) > 20)[:1500]


@cache
def word_piece() -> tokenizers.Tokenizer:
    """A BERT tokenizer."""
    tokenizer = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=600, special_tokens=BERT_TOKENS, show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


@cache
def byte_level() -> tokenizers.Tokenizer:
    """A GPT-2 tokenizer."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "<|endoftext|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    return tokenizer


@cache
def sentencepiece_model(kind: str = "unigram", **options: Any) -> bytes:
    """A SentencePiece model."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()), model_writer=model, vocab_size=500, model_type=kind, minloglevel=2, **options
    )
    return model.getvalue()


def bert_folder(folder: Path, **settings: Any) -> Path:
    """vocab.txt and tokenizer_config.json."""
    vocabulary = sorted(word_piece().get_vocab().items(), key=lambda item: item[1])
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token, _ in vocabulary), encoding="utf-8")
    return configured(folder, tokenizer_class="BertTokenizer", **settings)


def byte_level_folder(folder: Path, **settings: Any) -> Path:
    """vocab.json, merges.txt and tokenizer_config.json."""
    byte_level().model.save(str(folder))
    return configured(folder, **settings)


def sentencepiece_folder(folder: Path, name: str, kind: str = "unigram", train: Any = None, **settings: Any) -> Path:
    """A SentencePiece model under `name` and tokenizer_config.json."""
    (folder / name).write_bytes(sentencepiece_model(kind, **(train or {})))
    return configured(folder, **settings)


def configured(folder: Path, **settings: Any) -> Path:
    """`folder` with a tokenizer_config.json."""
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder
