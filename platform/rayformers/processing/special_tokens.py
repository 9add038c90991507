"""Special tokens: names such as `pad_token`, the tokens behind them, and their ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from tokenizers import AddedToken

from ..errors import InputTypeError, did_you_mean

if TYPE_CHECKING:
    Token = str | AddedToken

NAMED_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


def is_token(value: Any) -> bool:
    """Whether `value` can stand for a token: a string or an AddedToken."""
    return isinstance(value, str | AddedToken)


class SpecialTokensMixin:
    """Named special tokens of a tokenizer, as attributes: `pad_token` (a string) and `pad_token_id`.

    Args:
        verbose: whether asking for a token that is not set is logged.
        kwargs: tokens by name; `additional_special_tokens` is a list; `extra_special_tokens` a dict of further names
            (`{"image_token": "<image>"}` makes `image_token` and `image_token_id`), or a list of tokens.
    """

    SPECIAL_TOKENS_ATTRIBUTES: ClassVar[list[str]] = [*NAMED_TOKENS, "additional_special_tokens"]

    def __init__(self, verbose: bool = False, **kwargs: Any) -> None:
        tokens: dict[str, Any] = dict.fromkeys(self.SPECIAL_TOKENS_ATTRIBUTES)
        tokens["additional_special_tokens"] = []
        self.__dict__["_named_tokens"] = tokens
        self._pad_token_type_id = 0
        self.verbose = verbose
        for name, value in kwargs.items():
            if name in tokens and value is not None:
                self._set_token(name, value)

    @property
    def _special_tokens_map(self) -> dict[str, Any]:
        return self.__dict__["_named_tokens"]

    def _set_token(self, name: str, value: Any) -> None:
        if name == "additional_special_tokens":
            value = [] if value is None else value
            if not isinstance(value, list | tuple) or not all(is_token(token) for token in value):
                raise InputTypeError(f"additional_special_tokens is a list of strings or AddedTokens, not {value!r}")
            value = list(value)
        elif value is not None and not is_token(value):
            raise InputTypeError(f"{name} is a string or an AddedToken, not {value!r}")
        self.__dict__["_named_tokens"][name] = value

    def _name_extra_tokens(self, extra: Mapping[str, Any] | Sequence[Any] | None) -> None:
        """Give names of their own to further special tokens (a dict), or take a list of further tokens."""
        if isinstance(extra, Mapping):
            for name, token in extra.items():
                self._set_token(name, token)
        elif extra:
            known = {str(token) for token in self.__dict__["_named_tokens"]["additional_special_tokens"]}
            self.__dict__["_named_tokens"]["additional_special_tokens"] += [t for t in extra if str(t) not in known]

    def __getattr__(self, name: str) -> Any:
        tokens = self.__dict__.get("_named_tokens")
        if tokens is None or name.startswith("__"):
            raise AttributeError(name)
        if name in tokens:
            value = tokens[name]
            if name == "additional_special_tokens":
                return [str(token) for token in value]
            return str(value) if value is not None else None
        base = name.removesuffix("s_ids") + "s" if name.endswith("s_ids") else name.removesuffix("_id")
        if base != name and base in tokens:
            value = getattr(self, base)
            return self.convert_tokens_to_ids(value) if value is not None else None  # type: ignore[attr-defined]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        tokens = self.__dict__.get("_named_tokens")
        if tokens is not None:
            if name in tokens:
                self._set_token(name, value)
                return
            base = name.removesuffix("s_ids") + "s" if name.endswith("s_ids") else name.removesuffix("_id")
            if base != name and base in tokens:
                token = self.convert_ids_to_tokens(value) if value is not None else None  # type: ignore[attr-defined]
                self._set_token(base, token)
                return
        super().__setattr__(name, value)

    @property
    def pad_token_type_id(self) -> int:
        """The token type id of padding."""
        return self._pad_token_type_id

    @property
    def special_tokens_map(self) -> dict[str, Any]:
        """The tokens that are set, by name, as strings."""
        return {
            name: [str(token) for token in value] if isinstance(value, list) else str(value)
            for name, value in self.special_tokens_map_extended.items()
        }

    @property
    def special_tokens_map_extended(self) -> dict[str, Any]:
        """The tokens that are set, by name, as they were given (strings or AddedTokens)."""
        return {name: value for name, value in self._special_tokens_map.items() if value}

    @property
    def all_special_tokens_extended(self) -> list[Any]:
        """Every special token once, as it was given."""
        unique: dict[str, Any] = {}
        for value in self.special_tokens_map_extended.values():
            for token in value if isinstance(value, list) else [value]:
                unique.setdefault(str(token), token)
        return list(unique.values())

    @property
    def all_special_tokens(self) -> list[str]:
        """Every special token once."""
        return [str(token) for token in self.all_special_tokens_extended]

    @property
    def all_special_ids(self) -> list[int]:
        """The ids of `all_special_tokens`."""
        return self.convert_tokens_to_ids(self.all_special_tokens)  # type: ignore[attr-defined]

    def add_special_tokens(
        self, special_tokens_dict: Mapping[str, Any], replace_additional_special_tokens: bool = True
    ) -> int:
        """Set special tokens by name, add those that the vocabulary lacks, and return how many were added.

        Args:
            special_tokens_dict: tokens by name (`pad_token`, `additional_special_tokens`, `extra_special_tokens`).
            replace_additional_special_tokens: False extends the list of additional special tokens.

        Raises:
            InputTypeError: a name or a value cannot be used.
        """
        if not isinstance(special_tokens_dict, Mapping):
            raise InputTypeError(
                f"add_special_tokens takes a dict such as {{'pad_token': '[PAD]'}}, not {special_tokens_dict!r}"
            )
        new: list[AddedToken] = []
        for name, value in special_tokens_dict.items():
            if name == "extra_special_tokens" and isinstance(value, Mapping):
                self._name_extra_tokens(value)
                new += [_special(token) for token in value.values()]
                continue
            if name == "extra_special_tokens":
                name = "additional_special_tokens"
            if name not in self._special_tokens_map:
                hint = did_you_mean(name, self._special_tokens_map)
                raise InputTypeError(f"{name!r} is no special token. {hint}")
            if name == "additional_special_tokens":
                self._check_tokens(name, value)
                tokens = [_special(token) for token in value]
                if not replace_additional_special_tokens:
                    known = set(self.additional_special_tokens)
                    kept = self._special_tokens_map[name]
                    self._set_token(name, kept + [token for token in tokens if token.content not in known])
                else:
                    self._set_token(name, tokens)
                new += tokens
            else:
                self._check_tokens(name, [value])
                token = _special(value)
                self._set_token(name, token)
                new.append(token)
        return self.add_tokens(new, special_tokens=True) if new else 0

    @staticmethod
    def _check_tokens(name: str, value: Any) -> None:
        if not isinstance(value, list | tuple) or not all(is_token(token) for token in value):
            raise InputTypeError(f"{name} takes strings or AddedTokens, not {value!r}")

    def add_tokens(self, new_tokens: str | AddedToken | Sequence[Token], special_tokens: bool = False) -> int:
        """Add tokens to the vocabulary and return how many it lacked; resize the model's embeddings afterwards.

        Args:
            new_tokens: one or several tokens.
            special_tokens: True makes them special: never split, never normalised, skipped by `skip_special_tokens`.
        """
        tokens = [new_tokens] if is_token(new_tokens) else list(new_tokens)  # type: ignore[arg-type]
        self._check_tokens("add_tokens", tokens)
        return self._add_tokens(tokens, special_tokens=special_tokens) if tokens else 0  # type: ignore[arg-type]

    def _add_tokens(self, new_tokens: list[Token], special_tokens: bool = False) -> int:
        raise NotImplementedError

    def sanitize_special_tokens(self) -> int:
        """Add every special token that the vocabulary lacks; the old name of that."""
        return self.add_tokens(self.all_special_tokens_extended, special_tokens=True)


def _special(token: Token) -> AddedToken:
    if isinstance(token, AddedToken):
        token.special = True
        return token
    return AddedToken(token, rstrip=False, lstrip=False, normalized=False, special=True)
