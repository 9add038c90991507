"""Constraints on what beams must contain, and how far a text has come with them (guide: internal/generation_utils)."""

from __future__ import annotations

from typing import Any, Self

from ..errors import ConfigError, InputTypeError


class Constraint:
    """Base of constraints: something that a text must contain.

    Attributes:
        completed: whether it does.
        seqlen: tokens that it takes at most.
    """

    completed = False
    seqlen = 0

    def advance(self) -> int | list[int] | None:
        """The token, or the tokens, any of which makes progress; None where it is complete."""
        raise NotImplementedError

    def does_advance(self, token_id: int) -> bool:
        """Whether a token makes progress."""
        raise NotImplementedError

    def update(self, token_id: int) -> tuple[bool, bool, bool]:
        """Take a token; gives (it made progress, the constraint is complete, progress was lost)."""
        raise NotImplementedError

    def reset(self) -> None:
        """Lose all progress."""
        raise NotImplementedError

    def remaining(self) -> int:
        """Tokens that are still missing."""
        raise NotImplementedError

    def copy(self, stateful: bool = False) -> Self:
        """The same constraint, with its progress if `stateful`."""
        raise NotImplementedError


def _token(token_id: Any) -> int:
    if not isinstance(token_id, int):
        raise InputTypeError(f"A token id is {token_id!r} ({type(token_id).__name__}); expected a whole number.")
    return token_id


def _tokens(name: str, ids: Any) -> list[int]:
    if not isinstance(ids, list) or not ids or any(not isinstance(i, int) or i < 0 for i in ids):
        raise ConfigError(f"{name} is {ids!r}; expected a non-empty list of token ids.")
    return ids


class PhrasalConstraint(Constraint):
    """A phrase: these tokens, one after the other."""

    def __init__(self, token_ids: list[int]) -> None:
        self.token_ids = _tokens("token_ids", token_ids)
        self.seqlen = len(token_ids)
        self.fulfilled_idx = -1
        self.completed = False

    def advance(self) -> int | None:
        return None if self.completed else self.token_ids[self.fulfilled_idx + 1]

    def does_advance(self, token_id: int) -> bool:
        return not self.completed and _token(token_id) == self.token_ids[self.fulfilled_idx + 1]

    def update(self, token_id: int) -> tuple[bool, bool, bool]:
        if not self.does_advance(_token(token_id)):
            self.reset()
            return False, False, True
        self.fulfilled_idx += 1
        self.completed = self.fulfilled_idx == self.seqlen - 1
        return True, self.completed, False

    def reset(self) -> None:
        # The reference leaves the first token counted as seen. Lists of constraints never use a constraint after
        # its reset, only a fresh copy, so that this shows in direct calls alone.
        self.completed, self.fulfilled_idx = False, 0

    def remaining(self) -> int:
        return self.seqlen - (self.fulfilled_idx + 1)

    def copy(self, stateful: bool = False) -> PhrasalConstraint:
        made = PhrasalConstraint(self.token_ids)
        if stateful:
            made.fulfilled_idx, made.completed = self.fulfilled_idx, self.completed
        return made


class DisjunctiveConstraint(Constraint):
    """One of several phrases, none of which may start another."""

    def __init__(self, nested_token_ids: list[list[int]]) -> None:
        if not isinstance(nested_token_ids, list) or not nested_token_ids:
            raise ConfigError(
                f"nested_token_ids is {nested_token_ids!r}; expected a non-empty list of lists of token ids."
            )
        for words in nested_token_ids:
            _tokens("nested_token_ids", words)
        for word in nested_token_ids:
            if sum(other[: len(word)] == word for other in nested_token_ids) > 1:
                raise ConfigError(f"In nested_token_ids, {word} starts another phrase; leave one out.")
        self.token_ids = nested_token_ids
        self.seqlen = max(map(len, nested_token_ids))
        self.current_seq: list[int] = []
        self.completed = False

    def _next(self) -> list[int]:
        """Tokens that may follow, in the order of the phrases."""
        seen = self.current_seq
        following = [word[len(seen)] for word in self.token_ids if word[: len(seen)] == seen and len(word) > len(seen)]
        return list(dict.fromkeys(following))

    def advance(self) -> list[int] | None:
        return self._next() or None

    def does_advance(self, token_id: int) -> bool:
        return _token(token_id) in self._next()

    def update(self, token_id: int) -> tuple[bool, bool, bool]:
        stepped = self.does_advance(_token(token_id))
        if stepped:
            self.current_seq.append(token_id)
        else:
            self.reset()
        self.completed = not self._next()
        return stepped, self.completed, not stepped

    def reset(self) -> None:
        self.completed, self.current_seq = False, []

    def remaining(self) -> int:
        return 0 if self.completed else self.seqlen - len(self.current_seq)

    def copy(self, stateful: bool = False) -> DisjunctiveConstraint:
        made = DisjunctiveConstraint.__new__(DisjunctiveConstraint)
        made.token_ids, made.seqlen = self.token_ids, self.seqlen
        # The progress list itself is shared, as the reference does: with several ways on, the first one that is
        # tried counts. Searches would rank candidates otherwise and find other texts.
        made.current_seq = self.current_seq if stateful else []
        made.completed = self.completed if stateful else False
        return made


class ConstraintListState:
    """How far a text has come with a list of constraints; one is worked on at a time."""

    def __init__(self, constraints: list[Constraint]) -> None:
        if not constraints:
            raise ConfigError("The list of constraints is empty; give at least one.")
        self.constraints = constraints
        self.max_seqlen = max(constraint.seqlen for constraint in constraints)
        self.n_constraints = len(constraints)
        self.completed = False
        self.init_state()

    def init_state(self) -> None:
        """All constraints are pending again."""
        self.complete_constraints: list[Constraint] = []
        self.inprogress_constraint: Constraint | None = None
        self.pending_constraints = [constraint.copy(stateful=False) for constraint in self.constraints]

    def get_bank(self) -> int:
        """Progress as a number: tokens of complete constraints, and of the one that is being worked on."""
        working = self.inprogress_constraint
        begun = 0 if working is None else self.max_seqlen - working.remaining()
        return len(self.complete_constraints) * self.max_seqlen + begun

    def advance(self) -> list[int] | None:
        """The tokens that would make progress, None where nothing is left."""
        working = self.inprogress_constraint
        tokens: list[int] = []
        for constraint in self.pending_constraints if working is None else [working]:
            step = constraint.advance()
            tokens += [step] if isinstance(step, int) else step or []
        return tokens or None

    def reset(self, token_ids: list[int] | None) -> None:
        """Start again, with the text so far."""
        self.init_state()
        for token in token_ids or []:
            self.add(token)
            if self.completed:
                break

    def add(self, token_id: int) -> tuple[bool, bool]:
        """Take a token; gives (a constraint was completed by it, it made progress)."""
        _token(token_id)
        if self.completed:
            return True, False
        working = self.inprogress_constraint
        if working is None:
            return self._begin(token_id)
        stepped, complete, lost = working.update(token_id)
        if lost:
            self.pending_constraints.append(working.copy(stateful=False))
            self.inprogress_constraint = None
        if complete:
            self.complete_constraints.append(working)
            self.inprogress_constraint = None
            self.completed = not self.pending_constraints
        return complete, stepped

    def _begin(self, token_id: int) -> tuple[bool, bool]:
        """Work on the first pending constraint that the token starts."""
        for number, constraint in enumerate(self.pending_constraints):
            if not constraint.does_advance(token_id):
                continue
            stepped, complete, _ = constraint.update(token_id)
            if complete:
                self.complete_constraints.append(constraint)
            else:
                self.inprogress_constraint = constraint
            del self.pending_constraints[number]
            self.completed = not self.pending_constraints and self.inprogress_constraint is None
            return complete, stepped
        return False, False

    def copy(self, stateful: bool = True) -> ConstraintListState:
        """The same list, with its progress if `stateful`."""
        made = ConstraintListState(self.constraints)
        if stateful:
            made.complete_constraints = [constraint.copy(stateful=True) for constraint in self.complete_constraints]
            if self.inprogress_constraint is not None:
                made.inprogress_constraint = self.inprogress_constraint.copy(stateful=True)
            made.pending_constraints = [constraint.copy() for constraint in self.pending_constraints]
        return made


def constraints_of(config: Any) -> list[Constraint]:
    """The constraints of a GenerationConfig: its own, and one for each of force_words_ids.

    Raises:
        ConfigError: force_words_ids is no list of phrases (lists of tokens) or of alternatives (lists of phrases).
    """
    made: list[Constraint] = list(config.constraints or [])
    words = config.force_words_ids
    if words is None:
        return made
    message = f"force_words_ids is {words!r}; expected lists of token ids, or lists of such lists for alternatives."
    if not isinstance(words, list) or not words:
        raise ConfigError(message)
    for entry in words:
        if not isinstance(entry, list) or not entry:
            raise ConfigError(message)
        made.append(DisjunctiveConstraint(entry) if isinstance(entry[0], list) else PhrasalConstraint(entry))
    return made
