"""From scored tokens to entities: the aggregation strategies of token-classification."""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np

from ..errors import InputError

Tokens = list[dict[str, Any]]


class AggregationStrategy(Enum):
    """How tokens become entities.

    none: every token alone. simple: neighbours with one tag. first, average, max: words first, tagged by their first
    token, their mean scores, or their best token; then neighbours with one tag.
    """

    NONE = "none"
    SIMPLE = "simple"
    FIRST = "first"
    AVERAGE = "average"
    MAX = "max"

    @classmethod
    def find(cls, name: Any) -> AggregationStrategy:
        """The strategy of a name.

        Raises:
            InputError: unknown.
        """
        text = str(getattr(name, "value", name)).lower()
        if text not in {strategy.value for strategy in cls}:
            raise InputError(
                f"aggregation_strategy is {name!r}; expected one of {', '.join(strategy.value for strategy in cls)}."
            )
        return cls(text)


def aggregate(tokens: Tokens, strategy: AggregationStrategy, labels: dict[int, str], tokenizer: Any) -> Tokens:
    """Entities of tokens by a strategy."""
    if strategy in (AggregationStrategy.NONE, AggregationStrategy.SIMPLE):
        entities = [_tagged(token, labels) for token in tokens]
        return entities if strategy is AggregationStrategy.NONE else _groups(entities, tokenizer)
    return _groups([_word(word, strategy, labels, tokenizer) for word in _words(tokens)], tokenizer)


def _tagged(token: dict[str, Any], labels: dict[int, str]) -> dict[str, Any]:
    best = int(token["scores"].argmax())
    kept = {name: token[name] for name in ("index", "word", "start", "end")}
    return {"entity": labels[best], "score": float(token["scores"][best]), **kept}


def _words(tokens: Tokens) -> list[Tokens]:
    words: list[Tokens] = []
    for token in tokens:
        if words and token["is_subword"]:
            words[-1].append(token)
        else:
            words.append([token])
    return words


def _word(tokens: Tokens, strategy: AggregationStrategy, labels: dict[int, str], tokenizer: Any) -> dict[str, Any]:
    if strategy is AggregationStrategy.FIRST:
        scores = tokens[0]["scores"]
    elif strategy is AggregationStrategy.MAX:
        scores = max(tokens, key=lambda token: float(token["scores"].max()))["scores"]
    else:
        scores = np.nanmean(np.stack([token["scores"] for token in tokens]), axis=0)
    best = int(scores.argmax())
    return {
        "entity": labels[best],
        "score": float(scores[best]),
        "word": tokenizer.convert_tokens_to_string([token["word"] for token in tokens]),
        "start": tokens[0]["start"],
        "end": tokens[-1]["end"],
    }


def _tag(name: str) -> tuple[bool, str]:
    """Whether a label begins an entity, and the entity's tag."""
    if name.startswith(("B-", "I-")):
        return name.startswith("B-"), name[2:]
    return False, name


def _groups(entities: Tokens, tokenizer: Any) -> Tokens:
    """Neighbours with one tag as one entity."""
    groups: list[Tokens] = []
    for entity in entities:
        begins, tag = _tag(entity["entity"])
        if groups and not begins and tag == _tag(groups[-1][-1]["entity"])[1]:
            groups[-1].append(entity)
        else:
            groups.append([entity])
    return [
        {
            "entity_group": group[0]["entity"].split("-", 1)[-1],
            "score": float(np.mean([entity["score"] for entity in group])),
            "word": tokenizer.convert_tokens_to_string([entity["word"] for entity in group]),
            "start": group[0]["start"],
            "end": group[-1]["end"],
        }
        for group in groups
    ]


def drop_overlaps(entities: Tokens) -> Tokens:
    """Of entities that overlap, because parts of a text share tokens, the longer, or the better of equal length."""
    kept: Tokens = []
    for entity in sorted(entities, key=lambda entity: entity["start"]):
        if kept and kept[-1]["start"] <= entity["start"] < kept[-1]["end"]:
            if _rank(entity) > _rank(kept[-1]):
                kept[-1] = entity
        else:
            kept.append(entity)
    return kept


def _rank(entity: dict[str, Any]) -> tuple[int, float]:
    return entity["end"] - entity["start"], entity["score"]
