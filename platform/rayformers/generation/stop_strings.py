"""Finding stop strings in tokens without decoding: one automaton for each string, run over tokens.

A string of S characters has states 0 .. S - 1 (how many of its characters the text ends with, Knuth, Morris and
Pratt 1977). For every state and every token of the vocabulary, a table holds the state after the token and whether
the string ended within it. Any match spans at most S tokens, so only the last S are looked at.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from ..errors import ConfigError

_PREFIX = "abcdef"
"""Put before a token while its text is taken, so that tokenizers do not trim the token's leading space."""

_texts: WeakKeyDictionary[Any, tuple[int, list[str]]] = WeakKeyDictionary()


@dataclass
class StopTable:
    """Next states [K, S, V] and whether the string ended in the token [K, S, V]."""

    next: Tensor
    hits: Tensor

    def to(self, device: torch.device) -> StopTable:
        """The table on a device; moved once."""
        if self.next.device != device:
            self.next, self.hits = self.next.to(device), self.hits.to(device)
        return self

    def ends(self, input_ids: Tensor) -> Tensor:
        """[B]: whether a stop string ends in the last token of input_ids [B, T]."""
        strings, states, vocabulary = self.next.shape
        tokens = input_ids[:, -states:].clamp(0, vocabulary - 1)
        string = torch.arange(strings, device=tokens.device)[:, None]
        state = torch.zeros(strings, len(tokens), dtype=torch.long, device=tokens.device)
        for column in tokens[:, :-1].unbind(1):
            state = self.next[string, state, column]
            state = state.long()
        return self.hits[string, state, tokens[:, -1]].any(0)


def stop_table(tokenizer: Any, stop_strings: tuple[str, ...]) -> StopTable:
    """Build the table.

    Raises:
        ConfigError: the vocabulary cannot spell a string.
    """
    texts = token_texts(tokenizer)
    spelled = set("".join(texts))
    for string in stop_strings:
        if missing := sorted(set(string) - spelled):
            raise ConfigError(
                f"The stop string {string!r} can never occur: no token of the vocabulary has {missing}. "
                "Leave it out, or stop on tokens with eos_token_id."
            )
    states = max(map(len, stop_strings))
    codes = _codes(texts)
    built = [_automaton(string, codes, states) for string in stop_strings]
    table = np.stack([after for after, _ in built]), np.stack([hits for _, hits in built])
    return StopTable(torch.from_numpy(table[0]), torch.from_numpy(table[1]))


def token_texts(tokenizer: Any) -> list[str]:
    """The text of every token in the middle of a sentence; one more, empty, for ids beyond the vocabulary."""
    vocabulary = tokenizer.get_vocab()
    with suppress(KeyError, TypeError):
        size, texts = _texts[tokenizer]
        if size == len(vocabulary):
            return texts
    base = tokenizer.convert_ids_to_tokens(tokenizer(_PREFIX, add_special_tokens=False)["input_ids"])
    texts = [""] * (max(vocabulary.values()) + 2)
    for token, number in vocabulary.items():
        text = tokenizer.convert_tokens_to_string([*base, token])
        texts[number] = text[text.index(_PREFIX) + len(_PREFIX) :]
    with suppress(TypeError):  # a tokenizer that cannot be weakly referenced is read again next time
        _texts[tokenizer] = (len(vocabulary), texts)
    return texts


def _codes(texts: list[str]) -> np.ndarray:
    """Code points of every token [V, longest], -1 after the end."""
    codes = np.full((len(texts), max(1, max(map(len, texts)))), -1, dtype=np.int32)
    for number, text in enumerate(texts):
        codes[number, : len(text)] = [ord(character) for character in text]
    return codes


def _automaton(string: str, codes: np.ndarray, states: int) -> tuple[np.ndarray, np.ndarray]:
    """(next states [S, V], hits [S, V]) of one string."""
    alphabet = sorted(set(string))
    steps = np.array([[_step(string, state, c) for c in alphabet] + [0] for state in range(len(string) + 1)])
    points = np.array([ord(c) for c in alphabet])
    places = np.searchsorted(points, codes).clip(max=len(points) - 1)
    letters = np.where(points[places] == codes, places, len(alphabet))  # the last column: any other character
    state = np.repeat(np.arange(states)[:, None].clip(max=len(string)), len(codes), axis=1)
    hits = np.zeros((states, len(codes)), dtype=bool)
    for column in range(codes.shape[1]):
        inside = codes[:, column] >= 0
        after = steps[state, letters[:, column]]
        state = np.where(inside, after, state)
        hits |= inside & (state == len(string))
    # a string that has ended goes on as its longest proper border
    state = np.where(state == len(string), _border(string), state)
    return state.astype(np.int16), hits


def _border(string: str) -> int:
    return next(n for n in range(len(string) - 1, -1, -1) if string.endswith(string[:n]))


def _step(string: str, state: int, character: str) -> int:
    """How many characters of the string the text ends with, after `state` of them and one more character."""
    seen = string[:state] + character
    return next(n for n in range(min(len(string), len(seen)), -1, -1) if seen.endswith(string[:n]))
