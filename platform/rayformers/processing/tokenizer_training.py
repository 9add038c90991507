"""Training a new vocabulary for the pipeline of an existing tokenizer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tokenizers import AddedToken, Tokenizer, pre_tokenizers, trainers

from ..errors import InputError
from .special_tokens import NAMED_TOKENS

if TYPE_CHECKING:
    from .tokenizer import PreTrainedTokenizerFast

_TRAINERS = {
    "BPE": trainers.BpeTrainer,
    "Unigram": trainers.UnigramTrainer,
    "WordLevel": trainers.WordLevelTrainer,
    "WordPiece": trainers.WordPieceTrainer,
}


def train_like(
    tokenizer: PreTrainedTokenizerFast,
    texts: Iterable[Any],
    vocab_size: int,
    length: int | None,
    new_special_tokens: list[str | AddedToken] | None,
    renamed: Mapping[str, str] | None,
    **options: Any,
) -> PreTrainedTokenizerFast:
    """A tokenizer like `tokenizer` with a vocabulary trained on `texts`."""
    renamed = dict(renamed or {})
    description = json.loads(tokenizer.backend_tokenizer.to_str())
    added, post_processor = description.pop("added_tokens"), description.pop("post_processor")
    model = description["model"]
    kind = model["type"]
    if kind not in _TRAINERS:
        raise InputError(f"A {kind} tokenizer cannot be trained anew: only {', '.join(_TRAINERS)} can")
    special = [
        AddedToken(**{**_without(token, "id", "special"), "content": renamed.get(token["content"], token["content"])})
        for token in added
        if token["special"] or kind == "Unigram"
    ]
    special += [token if isinstance(token, AddedToken) else AddedToken(token) for token in new_special_tokens or []]
    options = {**_forget_vocabulary(model, renamed), **options}
    if _is_byte_level(description["pre_tokenizer"]):
        options["initial_alphabet"] = pre_tokenizers.ByteLevel.alphabet()
    fresh = Tokenizer.from_str(json.dumps({**description, "added_tokens": [], "post_processor": None}))
    trainer = _TRAINERS[kind](vocab_size=vocab_size, special_tokens=special, **options)
    fresh.train_from_iterator(texts, trainer=trainer, length=length)
    if post_processor is not None:
        _renumber(post_processor, fresh, renamed)
        fresh = Tokenizer.from_str(json.dumps({**json.loads(fresh.to_str()), "post_processor": post_processor}))
    return type(tokenizer)(tokenizer_object=fresh, **_settings(tokenizer, new_special_tokens or [], renamed))


def _without(token: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in token.items() if key not in names}


def _forget_vocabulary(model: dict[str, Any], renamed: Mapping[str, str]) -> dict[str, Any]:
    """Empty the model in place, and return what its trainer must know of it."""
    options: dict[str, Any] = {}
    if model["type"] == "Unigram":
        if model["unk_id"] is not None:
            unknown = model["vocab"][model["unk_id"]][0]
            options["unk_token"] = renamed.get(unknown, unknown)
            model["unk_id"], model["vocab"] = 0, [[options["unk_token"], 0.0]]
        return options
    model["vocab"] = {}
    if model["type"] == "BPE":
        model["merges"] = []
        affixes = ("continuing_subword_prefix", "end_of_word_suffix")
        options = {name: model[name] for name in affixes if model[name] is not None}
    if model.get("unk_token") in renamed:
        model["unk_token"] = renamed[model["unk_token"]]
    return options


def _is_byte_level(pre_tokenizer: dict[str, Any] | None) -> bool:
    if pre_tokenizer is None:
        return False
    parts = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    return any(part["type"] == "ByteLevel" for part in parts)


def _renumber(post_processor: dict[str, Any], tokenizer: Tokenizer, renamed: Mapping[str, str]) -> None:
    """Give the special tokens of a post-processor their ids in the new vocabulary."""

    def numbered(token: str) -> tuple[str, int]:
        token = renamed.get(token, token)
        index = tokenizer.token_to_id(token)
        if index is None:
            raise InputError(f"The new vocabulary lacks the special token {token!r}, which texts are wrapped in")
        return token, index

    for part in post_processor.get("processors", [post_processor]):
        for token in part.get("special_tokens", {}).values():
            pairs = [numbered(name) for name in token["tokens"]]
            token["tokens"], token["ids"] = [name for name, _ in pairs], [index for _, index in pairs]
        for name in ("cls", "sep"):
            if name in part:
                part[name] = list(numbered(part[name][0]))


def _settings(
    tokenizer: PreTrainedTokenizerFast, new: list[str | AddedToken], renamed: Mapping[str, str]
) -> dict[str, Any]:
    settings = {name: value for name, value in tokenizer.init_kwargs.items() if name not in ("name_or_path",)}
    for name in NAMED_TOKENS:
        token = tokenizer.special_tokens_map_extended.get(name)
        if isinstance(token, AddedToken):
            settings[name] = AddedToken(
                renamed.get(token.content, token.content),
                single_word=token.single_word,
                lstrip=token.lstrip,
                rstrip=token.rstrip,
                normalized=token.normalized,
                special=True,
            )
        elif token is not None:
            settings[name] = renamed.get(token, token)
    further = [renamed.get(token, token) for token in tokenizer.additional_special_tokens] + list(new)
    if further:
        settings["additional_special_tokens"] = further
    return settings
