"""Where a fast tokenizer puts special tokens, read from its post-processor; and post-processors made of templates."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Slot = tuple[str | int, int]
"""("A" or "B" for a sequence, else the id of a special token; token type id)."""

_PLAIN: list[Slot] = [("A", 0)]
_PLAIN_PAIR: list[Slot] = [("A", 0), ("B", 1)]


def layout(tokenizer: Tokenizer, pair: bool) -> list[Slot]:
    """The slots of a text, or of a pair of texts, in order."""
    processor = tokenizer.post_processor
    description = json.loads(processor.__getstate__()) if processor is not None else None
    return _layout(description, pair) or (_PLAIN_PAIR if pair else _PLAIN)


def _layout(description: dict[str, Any] | None, pair: bool) -> list[Slot] | None:
    if description is None:
        return None
    kind = description["type"]
    if kind == "Sequence":
        found = [_layout(item, pair) for item in description["processors"]]
        return next((slots for slots in reversed(found) if slots), None)
    if kind == "TemplateProcessing":
        ids = {name: token["ids"] for name, token in description["special_tokens"].items()}
        slots: list[Slot] = []
        for piece in description["pair" if pair else "single"]:
            if "Sequence" in piece:
                slots.append((piece["Sequence"]["id"], piece["Sequence"]["type_id"]))
            else:
                special = piece["SpecialToken"]
                slots += [(index, special["type_id"]) for index in ids[special["id"]]]
        return slots
    if kind in ("BertProcessing", "RobertaProcessing"):
        cls, sep = description["cls"][1], description["sep"][1]
        if not pair:
            return [(cls, 0), ("A", 0), (sep, 0)]
        if kind == "BertProcessing":
            return [(cls, 0), ("A", 0), (sep, 0), ("B", 1), (sep, 1)]
        return [(cls, 0), ("A", 0), (sep, 0), (sep, 0), ("B", 0), (sep, 0)]
    return None


def fill(slots: Sequence[Slot], first: Sequence[int], second: Sequence[int] | None) -> list[tuple[int, int]]:
    """The (id, token type id) of every token, special tokens included."""
    rows: list[tuple[int, int]] = []
    for what, type_id in slots:
        if isinstance(what, int):
            rows.append((what, type_id))
        else:
            rows += [(index, type_id) for index in (first if what == "A" else second or [])]
    return rows


def template(single: str, pair: str, tokens: Sequence[tuple[str, int]]) -> Any:
    """A TemplateProcessing; `single` and `pair` in its notation ("[CLS]:0 $A:0 [SEP]:0")."""
    from tokenizers import processors

    return processors.TemplateProcessing(
        single=single.split(), pair=pair.split(), special_tokens=list(dict(tokens).items())
    )


def bos_eos_template(tokenizer: Any, add_bos: bool, add_eos: bool) -> Any:
    """The template of decoder models: each sequence between the bos and eos tokens that are switched on."""
    before = f"{tokenizer.bos_token}:{{0}} " if add_bos else ""
    after = f" {tokenizer.eos_token}:{{0}}" if add_eos else ""
    single = before.format(0) + "$A:0" + after.format(0)
    pair = single + " " + before.format(1) + "$B:1" + after.format(1)
    tokens = [(tokenizer.bos_token, tokenizer.bos_token_id)] * add_bos
    tokens += [(tokenizer.eos_token, tokenizer.eos_token_id)] * add_eos
    return template(single, pair, tokens)
