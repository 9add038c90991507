"""Two-way rules between the Hub's tensor names and ours.

A rule is data: a Hub template and a template of ours, with numbers as slots (`encoder.layer.{i}.output.dense`). A
template names a module, and then covers its `.weight` and `.bias`, or a parameter. One table serves reading and
writing, so `to_hub(to_ours(x)) == x` holds bit for bit. Where the Hub has several
spellings, any is read and the first written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from ..errors import CheckpointError

_SLOT = re.compile(r"\{(\w+)\}")
# Spellings of TensorFlow origin that old files carry for the leaves of a normalisation.
_OLD_LEAVES = {".gamma": ".weight", ".beta": ".bias"}

Tensors = Iterable[tuple[str, Tensor]]


@cache
def _pattern(template: str) -> re.Pattern[str]:
    parts = _SLOT.split(template)  # text, slot, text, slot, ...
    seen: set[str] = set()
    source = ""
    for number, part in enumerate(parts):
        if number % 2 == 0:
            source += re.escape(part)
        else:
            source += f"(?P={part})" if part in seen else rf"(?P<{part}>\d+)"
            seen.add(part)
    return re.compile(rf"^{source}(?P<leaf>\.[A-Za-z_]+)?$")


@dataclass(frozen=True)
class Rule:
    """Base of the rules. `hub` is one template or several spellings of it; the first is written."""

    hub: str | tuple[str, ...]
    ours: str | tuple[str, ...] = ""

    @property
    def spellings(self) -> tuple[str, ...]:
        return self.hub if isinstance(self.hub, tuple) else (self.hub,)

    @property
    def targets(self) -> tuple[str, ...]:
        return self.ours if isinstance(self.ours, tuple) else (self.ours,)

    def match_hub(self, name: str) -> dict[str, str] | None:
        """The slots and the leaf of a Hub name, or None."""
        for spelling in self.spellings:
            if found := _pattern(spelling).match(name):
                return {key: value or "" for key, value in found.groupdict().items()}
        return None

    def match_ours(self, name: str) -> tuple[int, dict[str, str]] | None:
        """Which target a name of ours is, and its slots and leaf, or None."""
        for number, target in enumerate(self.targets):
            if found := _pattern(target).match(name):
                return number, {key: value or "" for key, value in found.groupdict().items()}
        return None


@dataclass(frozen=True)
class Rename(Rule):
    """The same tensor under another name."""


@dataclass(frozen=True)
class Transpose(Rule):
    """A linear layer's weight that the Hub stores as (in, out), such as GPT-2's."""


@dataclass(frozen=True)
class Split(Rule):
    """One Hub tensor, several of ours, cut along dimension 0.

    Args:
        heads: None: the parts follow one another; n: the parts are interleaved within each of n heads (NeoX, BLOOM).
        sizes: rows of each part; default: equal parts. With `heads`, rows of each part within one head (group).
        transpose: the Hub tensor is stored as (in, out).
    """

    heads: int | None = None
    sizes: tuple[int, ...] | None = None
    transpose: bool = False

    def cut(self, tensor: Tensor) -> list[Tensor]:
        """The Hub tensor's parts."""
        if self.transpose and tensor.ndim == 2:
            tensor = tensor.t()
        if self.heads is None:
            return [part.contiguous() for part in torch.split(tensor, self._sizes(tensor.shape[0]))]
        grouped = tensor.reshape(self.heads, -1, *tensor.shape[1:])
        parts = torch.split(grouped, self._sizes(grouped.shape[1]), dim=1)
        return [part.flatten(0, 1).contiguous() for part in parts]

    def join(self, parts: list[Tensor]) -> Tensor:
        """The inverse of `cut`."""
        if self.heads is None:
            tensor = torch.cat(parts)
        else:
            tensor = torch.cat([part.reshape(self.heads, -1, *part.shape[1:]) for part in parts], dim=1).flatten(0, 1)
        return tensor.t().contiguous() if self.transpose and tensor.ndim == 2 else tensor

    def _sizes(self, rows: int) -> list[int]:
        if self.sizes is not None:
            return list(self.sizes)
        return [rows // len(self.targets)] * len(self.targets)


@dataclass(frozen=True)
class Stack(Rule):
    """Numbered Hub tensors (slot `{e}`), one of ours with a leading axis.

    Args:
        count: how many there are; lets a stream give a group on as soon as it is whole.
    """

    count: int | None = None


@dataclass(frozen=True)
class Drop(Rule):
    """Tensors that old files carry and nobody needs (constant buffers); never written."""


class WeightMap:
    """An ordered table of rules; the first that matches a name wins.

    Args:
        rules: the table.
    """

    def __init__(self, *rules: Rule) -> None:
        self.rules = rules

    def __add__(self, other: WeightMap | Iterable[Rule]) -> WeightMap:
        return WeightMap(*self.rules, *(other.rules if isinstance(other, WeightMap) else other))

    def knows(self, hub_name: str) -> bool:
        """Whether a rule matches the Hub name."""
        return self._find_hub(hub_name) is not None

    def to_ours(self, tensors: Mapping[str, Tensor] | Tensors) -> dict[str, Tensor]:
        """All tensors under our names.

        Raises:
            CheckpointError: a name that no rule matches, or a group with a part missing.
        """
        return dict(self.stream(tensors.items() if isinstance(tensors, Mapping) else tensors))

    def stream(self, tensors: Tensors) -> Iterator[tuple[str, Tensor]]:
        """Convert one tensor after the other; only the members of an open `Stack` group are held back."""
        stacks: dict[str, dict[int, Tensor]] = {}
        unknown: list[str] = []
        for name, tensor in tensors:
            found = self._find_hub(name)
            if found is None:
                unknown.append(name)
                continue
            rule, slots = found
            if isinstance(rule, Stack):
                slots.pop("leaf", None)
                position = int(slots.pop("e"))
                target = rule.targets[0].format(**slots)
                members = stacks.setdefault(target, {})
                members[position] = tensor
                if rule.count is not None and len(members) == rule.count and max(members) < rule.count:
                    yield target, torch.stack([members[number] for number in range(rule.count)])
                    del stacks[target], members
            else:
                yield from _to_ours(rule, slots, tensor)
        if unknown:
            raise CheckpointError(
                f"No rule for {len(unknown)} tensors of the checkpoint: {', '.join(sorted(unknown)[:5])}"
                f"{', ...' if len(unknown) > 5 else ''}. The files do not belong to this architecture."
            )
        for name, members in stacks.items():
            if missing := sorted(set(range(max(members) + 1)) - members.keys()):
                raise CheckpointError(f"The checkpoint lacks parts {missing[:5]} of the group that makes {name!r}.")
            yield name, torch.stack([members[position] for position in range(len(members))])

    def to_hub(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All tensors under the Hub's names.

        Raises:
            CheckpointError: a name that no rule matches.
        """
        out: dict[str, Tensor] = {}
        groups: dict[tuple[Rule, str], dict[int, Tensor]] = {}
        unknown: list[str] = []
        for name, tensor in tensors.items():
            found = self._find_ours(name)
            if found is None:
                unknown.append(name)
                continue
            rule, number, slots = found
            leaf = slots.pop("leaf", "")
            if isinstance(rule, Stack):
                out.update((rule.spellings[0].format(**slots, e=e), part) for e, part in enumerate(tensor))
                continue
            hub_name = rule.spellings[0].format(**slots) + leaf
            if isinstance(rule, Split):
                group = groups.setdefault((rule, hub_name), {})
                group[number] = tensor
                if len(group) == len(rule.targets):
                    out[hub_name] = rule.join([group[position] for position in range(len(group))])
            else:
                out[hub_name] = tensor.t().contiguous() if isinstance(rule, Transpose) and tensor.ndim == 2 else tensor
        if unknown:
            raise CheckpointError(f"No rule for {len(unknown)} tensors of the model: {', '.join(sorted(unknown)[:5])}.")
        if open_groups := [name for (rule, name), parts in groups.items() if len(parts) != len(rule.targets)]:
            raise CheckpointError(f"Parts are missing to write {open_groups[0]!r}.")
        return out

    def _find_hub(self, name: str) -> tuple[Rule, dict[str, str]] | None:
        for rule in self.rules:
            slots = rule.match_hub(name)
            if slots is not None:
                slots["leaf"] = _OLD_LEAVES.get(slots.get("leaf", ""), slots.get("leaf", ""))
                return rule, slots
        return None

    def _find_ours(self, name: str) -> tuple[Rule, int, dict[str, str]] | None:
        for rule in self.rules:
            if not isinstance(rule, Drop) and (found := rule.match_ours(name)) is not None:
                return rule, *found
        return None


def _to_ours(rule: Rule, slots: dict[str, str], tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    leaf = slots.pop("leaf", "")
    if isinstance(rule, Drop):
        return
    if isinstance(rule, Split):
        yield from zip((target.format(**slots) + leaf for target in rule.targets), rule.cut(tensor), strict=True)
    else:
        value = tensor.t().contiguous() if isinstance(rule, Transpose) and tensor.ndim == 2 else tensor
        yield rule.targets[0].format(**slots) + leaf, value


def rename(*names: str, **pairs: Any) -> tuple[Rename, ...]:
    """Rules for names that are equal on both sides (positional)."""
    assert not pairs, "write Rename(hub, ours) where the two sides differ"
    return tuple(Rename(name, name) for name in names)


def under(hub: str | tuple[str, ...], ours: str, rules: WeightMap | Iterable[Rule]) -> tuple[Rule, ...]:
    """The same rules for a model nested in another (a tower, a head model's backbone).

    Args:
        hub: prefix on the Hub's side, or several spellings of it; the first is written.
        ours: prefix on our side.
        rules: the nested model's rules.
    """
    prefixes = hub if isinstance(hub, tuple) else (hub,)

    def nested(rule: Rule) -> Rule:
        spellings = tuple(prefix + spelling for prefix in prefixes for spelling in rule.spellings)
        targets = (
            tuple(ours + target for target in rule.targets) if isinstance(rule.ours, tuple) else ours + str(rule.ours)
        )
        return replace(rule, hub=spellings, ours=targets)

    return tuple(nested(rule) for rule in (rules.rules if isinstance(rules, WeightMap) else rules))
