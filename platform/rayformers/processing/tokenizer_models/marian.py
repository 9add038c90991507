"""Marian's tokenizer (OPUS-MT): one SentencePiece model a language, one vocabulary of ids for both."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, ClassVar

from ...errors import CheckpointError, InputError
from ..convert.byte_level import read_json_vocabulary
from ..convert.sentence_piece_text import SentencePieces
from ..tokenizer_files import write_json
from ..tokenizer_python import PreTrainedTokenizer


class MarianTokenizer(PreTrainedTokenizer):
    """Marian's tokenizer.

    Args:
        source_spm, target_spm: the SentencePiece models of the two languages.
        vocab: the vocab.json with the ids.
        target_vocab_file: the ids of target texts, with `separate_vocabs`.
        source_lang, target_lang: the languages, as notes.

    Raises:
        InputError: a file was not given.
    """

    vocab_files_names: ClassVar[dict[str, str]] = {
        "source_spm": "source.spm",
        "target_spm": "target.spm",
        "vocab": "vocab.json",
        "target_vocab_file": "target_vocab.json",
    }
    model_input_names: ClassVar[list[str]] = ["input_ids", "attention_mask"]  # type: ignore[misc]
    defaults: ClassVar[dict[str, Any]] = {
        "unk_token": "<unk>", "eos_token": "</s>", "pad_token": "<pad>", "model_max_length": 512,
        "separate_vocabs": False,
    }  # fmt: skip

    def __init__(
        self,
        source_spm: str | None = None,
        target_spm: str | None = None,
        vocab: str | None = None,
        target_vocab_file: str | None = None,
        tokenizer_file: str | None = None,
        **kwargs: Any,
    ) -> None:
        if source_spm is None or target_spm is None or vocab is None:
            raise InputError(
                "MarianTokenizer needs source_spm=, target_spm= and vocab= (source.spm, target.spm, vocab.json)"
            )
        self.spm_source, self.spm_target = SentencePieces(source_spm), SentencePieces(target_spm)
        self.encoder = read_json_vocabulary(Path(vocab))
        separate = kwargs.get("separate_vocabs", False)
        if separate and target_vocab_file is None:
            raise InputError("separate_vocabs=True needs target_vocab_file= (target_vocab.json)")
        self.target_encoder = (
            read_json_vocabulary(Path(target_vocab_file)) if separate and target_vocab_file else self.encoder
        )
        settings = {**self.defaults, **kwargs}
        missing = [
            str(settings[name]) for name in ("unk_token", "pad_token") if str(settings[name]) not in self.encoder
        ]
        if missing:
            raise CheckpointError(f"{vocab} lacks the special tokens {missing}")
        self._texts_of_ids = {index: token for token, index in self.target_encoder.items()}
        self.current_spm, self.current_encoder = self.spm_source, self.encoder
        self._use_source = False
        super().__init__(**kwargs)

    @property
    def supported_language_codes(self) -> list[str]:
        """The target languages (`>>fra<<`) that a text may start with."""
        return [token for token in self.encoder if token.startswith(">>") and token.endswith("<<")]

    @property
    def vocab_size(self) -> int:
        """The size of the vocabulary without added tokens."""
        return len(self.encoder)

    def get_vocab(self) -> dict[str, int]:
        """Tokens to ids, added tokens included."""
        return {**self.encoder, **self._added_ids}

    def _tokenize(self, text: str) -> list[str]:
        code: list[str] = []
        if text.startswith(">>") and "<<" in text:
            end = text.index("<<") + 2
            code, text = [text[:end]], text[end:]
        return code + self.current_spm.encode(text)

    def _convert_token_to_id(self, token: str) -> int:
        return self.current_encoder.get(token, self.current_encoder[self.unk_token])

    def _convert_id_to_token(self, index: int) -> str:
        return self._texts_of_ids.get(index, self.unk_token)

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """The text of tokens of the target language (of the source with `use_source_tokenizer=True` in decode)."""
        model = self.spm_source if self._use_source else self.spm_target
        special = set(self.all_special_tokens)
        text, pieces = "", list[str]()
        for token in tokens:
            if token in special:
                text += model.decode(pieces) + token + " "
                pieces = []
            else:
                pieces.append(token)
        return (text + model.decode(pieces)).replace("▁", " ").strip()

    def _decode(
        self, ids: list[int], skip_special_tokens: bool, use_source_tokenizer: bool = False, **kwargs: Any
    ) -> str:
        self._use_source = use_source_tokenizer
        return super()._decode(ids, skip_special_tokens, **kwargs)

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """The ids of one or two sequences, and </s>."""
        return [*token_ids_0, *(token_ids_1 or []), self.eos_token_id]

    def _switch_to_input_mode(self) -> None:
        self.current_spm, self.current_encoder = self.spm_source, self.encoder

    def _switch_to_target_mode(self) -> None:
        self.current_spm, self.current_encoder = self.spm_target, self.target_encoder

    def save_vocabulary(
        self, save_directory: str | os.PathLike[str], filename_prefix: str | None = None
    ) -> tuple[str, ...]:
        """Write vocab.json and the two SentencePiece models and return their paths."""
        prefix = f"{filename_prefix}-" if filename_prefix else ""
        folder = Path(save_directory)
        names = {argument: folder / (prefix + name) for argument, name in self.vocab_files_names.items()}
        write_json(names["vocab"], self.encoder, sort=False)
        written = [names["vocab"]]
        if self.separate_vocabs:
            write_json(names["target_vocab_file"], self.target_encoder, sort=False)
            written.append(names["target_vocab_file"])
        for argument, model in (("source_spm", self.spm_source), ("target_spm", self.spm_target)):
            if model.path.resolve() != names[argument].resolve():
                shutil.copyfile(model.path, names[argument])
            written.append(names[argument])
        return tuple(str(path) for path in written)
