"""Tokenizers from files and to files, under the Hub's names."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tokenizers import AddedToken

from ..errors import CheckpointError, InputTypeError, NotFoundError

CONFIG, TOKENS_MAP, ADDED, FAST = (
    "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "tokenizer.json",
)  # fmt: skip
TEMPLATE, TEMPLATES = "chat_template.jinja", "additional_chat_templates"

HUB_OPTIONS = ("revision", "token", "cache_dir", "local_files_only", "force_download", "subfolder")
# Options of other loaders that callers pass along, and that mean nothing here.
_IGNORED = (
    "trust_remote_code", "use_auth_token", "proxies", "resume_download", "user_agent", "_commit_hash", "code_revision",
    "mirror", "_from_auto", "use_fast", "from_slow", "legacy_format",
)  # fmt: skip
# Notes that other writers leave in tokenizer_config.json.
_NOTES = ("tokenizer_class", "auto_map", "processor_class", "backend", "is_local", "name_or_path", "tokenizer_file")


def tokenizer_folder(reference: str | os.PathLike[str], options: dict[str, Any]) -> Path:
    """The local folder with the tokenizer's files; takes the Hub's options out of `options`."""
    from ..hub import resolve

    hub = {name: options.pop(name) for name in HUB_OPTIONS if name in options}
    for name in _IGNORED:
        options.pop(name, None)
    hub = {name: value for name, value in hub.items() if value is not None}
    return resolve(reference, weights=False, **hub)


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in `path`; an empty one where there is no such file.

    Raises:
        CheckpointError: the file holds something else.
    """
    from ..hub import read_json

    return read_json(path) if path.is_file() else {}


def read_templates(folder: Path) -> Any:
    """The chat templates that lie in files of their own: one, or several by name."""
    named = {path.stem: path.read_text(encoding="utf-8") for path in sorted((folder / TEMPLATES).glob("*.jinja"))}
    main = folder / TEMPLATE
    if main.is_file():
        text = main.read_text(encoding="utf-8")
        return {"default": text, **named} if named else text
    return named or None


def revive(value: Any) -> Any:
    """Written AddedTokens as AddedTokens, within lists and dicts too."""
    if isinstance(value, Mapping):
        fields = dict(value)
        if fields.pop("__type", None) == "AddedToken" or {"content", "lstrip", "rstrip"} <= set(fields):
            return _added_token(fields)
        return {key: revive(item) for key, item in value.items()}
    return [revive(item) for item in value] if isinstance(value, list) else value


def _added_token(fields: Mapping[str, Any], **changes: Any) -> AddedToken:
    known = ("content", "single_word", "lstrip", "rstrip", "normalized", "special")
    return AddedToken(**{**{key: fields[key] for key in known if key in fields}, **changes})


def describe(token: AddedToken) -> dict[str, Any]:
    """An AddedToken as files hold it."""
    return {
        "content": token.content,
        "lstrip": token.lstrip,
        "normalized": token.normalized,
        "rstrip": token.rstrip,
        "single_word": token.single_word,
        "special": token.special,
    }


def read_settings(folder: Path, given: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    """The constructor's arguments that the files in `folder` hold, with those `given` in their place."""
    settings = revive(read_object(folder / CONFIG))
    for note in _NOTES:
        settings.pop(note, None)
    templates = read_templates(folder)
    if templates is not None:
        settings["chat_template"] = templates
    if isinstance(settings.get("extra_special_tokens"), list):
        # Version 5 of the reference writes unnamed special tokens under this name.
        extra = settings.pop("extra_special_tokens")
        settings["additional_special_tokens"] = [*(settings.get("additional_special_tokens") or []), *extra]
    settings |= given
    if "added_tokens_decoder" in settings:
        decoder = {int(index): token for index, token in settings.pop("added_tokens_decoder").items()}
        wrong = [index for index, token in decoder.items() if not isinstance(token, AddedToken)]
        if wrong:
            raise CheckpointError(f"{folder / CONFIG}: added_tokens_decoder holds no token under {wrong[0]!r}")
    else:
        decoder = _older_added_tokens(folder, settings, given, names)
    by_content = {token.content: token for token in decoder.values()}
    for name in names:
        value = settings.get(name)
        if isinstance(value, str):
            settings[name] = by_content.get(value, value)
    settings["added_tokens_decoder"] = decoder
    return settings


def _older_added_tokens(
    folder: Path, settings: dict[str, Any], given: Mapping[str, Any], names: list[str]
) -> dict[int, AddedToken]:
    """The added tokens of folders without `added_tokens_decoder`; fills `settings` from special_tokens_map.json."""
    for name, value in read_object(folder / TOKENS_MAP).items():
        if given.get(name):
            continue
        if isinstance(value, list):
            value = [_added_token(item, special=True) if isinstance(item, dict) else item for item in value]
            known = [str(token) for token in settings.get(name) or []]
            value = list(settings.get(name) or []) + [token for token in value if str(token) not in known]
        settings[name] = _added_token(value, special=True) if isinstance(value, dict) else value
    special: set[str] = set()
    for name in names:
        value = settings.get(name)
        if value is not None:
            special |= {str(token) for token in (value if isinstance(value, list) else [value])}
    decoder = {
        index: AddedToken(text, normalized=text not in special, special=text in special)
        for text, index in read_object(folder / ADDED).items()
    }
    for item in read_object(folder / FAST).get("added_tokens", []):
        decoder[item["id"]] = _added_token(item)
    return decoder


def write(path: Path, text: str) -> None:
    """Write a file as a whole: under a temporary name, then renamed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def write_json(path: Path, value: Any, sort: bool = True) -> None:
    """Write JSON as the Hub's files are written."""
    write(path, json.dumps(value, indent=2, sort_keys=sort, ensure_ascii=False) + "\n")


class FilesMixin:
    """from_pretrained, save_pretrained and push_to_hub of tokenizers."""

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], *inputs: Any, **kwargs: Any
    ) -> Self:
        """The tokenizer saved in a local folder, a Hub repository, or another place that `rayformers.hub` resolves.

        Args:
            pretrained_model_name_or_path: where the files are; also one vocabulary file.
            kwargs: revision, token, cache_dir, local_files_only, force_download, subfolder for the Hub; everything else
                takes the place of what the files say.

        Raises:
            NotFoundError: there is nothing, or no file that this class can read; the message names what was looked for.
            CheckpointError: a file is corrupt.
        """
        path = Path(os.path.expanduser(os.fspath(pretrained_model_name_or_path)))  # noqa: PTH111
        if path.is_file():
            return cls(*inputs, **{cls.vocabulary_argument(path): str(path), **kwargs})
        folder = tokenizer_folder(pretrained_model_name_or_path, kwargs)
        return cls.from_folder(folder, os.fspath(pretrained_model_name_or_path), *inputs, **kwargs)

    @classmethod
    def from_folder(cls, folder: Path, name_or_path: str, *inputs: Any, **kwargs: Any) -> Self:
        """The tokenizer in a local folder, known as `name_or_path`; `kwargs` take the place of what the files say."""
        settings = read_settings(folder, kwargs, list(cls.SPECIAL_TOKENS_ATTRIBUTES))  # type: ignore[attr-defined]
        settings = {name: value for name, value in settings.items() if name not in cls.vocab_files_names}  # type: ignore[attr-defined]
        settings |= {name: str(path) for name, path in cls.find_files(folder).items()}
        settings["name_or_path"] = name_or_path
        return cls(*inputs, **settings)

    @classmethod
    def vocabulary_argument(cls, path: Path) -> str:
        """Which argument of the constructor a file stands for."""
        if path.name == FAST:
            return "tokenizer_file"
        for argument, name in cls.vocab_files_names.items():  # type: ignore[attr-defined]
            if name == path.name:
                return argument
        return "vocab_file"

    @classmethod
    def find_files(cls, folder: Path) -> dict[str, Path]:
        """The files of `folder` that the constructor reads, by argument.

        Raises:
            NotFoundError: not even the least is there.
        """
        wanted = {"tokenizer_file": FAST, **cls.vocab_files_names}  # type: ignore[attr-defined]
        found = {argument: folder / name for argument, name in wanted.items() if (folder / name).is_file()}
        if not found:
            here = sorted(path.name for path in folder.iterdir() if path.is_file())[:20]
            raise NotFoundError(
                f"No tokenizer in {folder}: {cls.__name__} reads {', '.join(dict.fromkeys(wanted.values()))}, "
                f"and the folder has {', '.join(here) or 'no files'}."
            )
        return found

    def save_pretrained(
        self,
        save_directory: str | os.PathLike[str],
        legacy_format: bool | None = None,
        filename_prefix: str | None = None,
        push_to_hub: bool = False,
        save_jinja_files: bool = True,
        **hub: Any,
    ) -> tuple[str, ...]:
        """Write the tokenizer's files to a folder and return their paths.

        Args:
            legacy_format: True leaves out tokenizer.json, False leaves out the older vocabulary files.
            filename_prefix: written before the names.
            push_to_hub: also upload; `hub` holds the options of `push_to_hub` (repo_id, ...).
            save_jinja_files: False keeps chat templates in tokenizer_config.json.

        Raises:
            InputTypeError: `save_directory` is a file.
        """
        folder = Path(save_directory)
        if folder.is_file():
            raise InputTypeError(f"save_pretrained writes to a folder, but {folder} is a file")
        folder.mkdir(parents=True, exist_ok=True)
        prefix = f"{filename_prefix}-" if filename_prefix else ""
        config = self.saved_config()
        written = []
        if save_jinja_files:
            written += self.save_chat_templates(folder, prefix)
        elif self.chat_template is not None:  # type: ignore[attr-defined]
            template = self.chat_template  # type: ignore[attr-defined]
            named = isinstance(template, Mapping)
            config["chat_template"] = (
                [{"name": name, "template": text} for name, text in template.items()] if named else template
            )
        write_json(folder / (prefix + CONFIG), config)
        tokens = {name: _described(value) for name, value in self.special_tokens_map_extended.items()}  # type: ignore[attr-defined]
        write_json(folder / (prefix + TOKENS_MAP), tokens)
        written += [folder / (prefix + CONFIG), folder / (prefix + TOKENS_MAP)]
        if legacy_format is not False:
            added = {text: index for text, index in self.get_added_vocab().items() if index >= self.vocab_size}  # type: ignore[attr-defined]
            if added:
                write_json(folder / (prefix + ADDED), added)
                written.append(folder / (prefix + ADDED))
            written += [Path(path) for path in self.save_vocabulary(folder, filename_prefix)]
        if legacy_format is not True:
            written += self.save_backend(folder, prefix)
        if push_to_hub:
            self.push_to_hub(hub.pop("repo_id", folder.name), **hub)
        return tuple(str(path) for path in written)

    def saved_config(self) -> dict[str, Any]:
        """The content of tokenizer_config.json."""
        config = {name: value for name, value in self.init_kwargs.items() if name not in self.vocab_files_names}  # type: ignore[attr-defined]
        for name in (*_NOTES, "chat_template", "tokenizer_object", "vocab", "merges", "model_specific_special_tokens"):
            config.pop(name, None)
        config |= self.special_tokens_map_extended  # type: ignore[attr-defined]
        named = set(type(self).SPECIAL_TOKENS_ATTRIBUTES)  # type: ignore[attr-defined]
        extra = {name: str(token) for name, token in self.special_tokens_map_extended.items() if name not in named}  # type: ignore[attr-defined]
        config["extra_special_tokens"] = extra
        config["model_max_length"] = self.model_max_length  # type: ignore[attr-defined]
        config["clean_up_tokenization_spaces"] = self.clean_up_tokenization_spaces  # type: ignore[attr-defined]
        for side in ("padding_side", "truncation_side"):
            if side in config or getattr(self, side) != "right":
                config[side] = getattr(self, side)
        config["added_tokens_decoder"] = {
            str(index): describe(token)
            for index, token in sorted(self.added_tokens_decoder.items())  # type: ignore[attr-defined]
        }
        config["tokenizer_class"] = self.saved_class()
        return {name: _plain(value) for name, value in config.items() if not name.startswith("__")}

    def saved_class(self) -> str:
        """The class name that tokenizer_config.json carries."""
        return type(self).__name__

    def save_chat_templates(self, folder: Path, prefix: str = "") -> list[Path]:
        """Write chat templates to files of their own and return the paths."""
        template = self.chat_template  # type: ignore[attr-defined]
        if template is None:
            return []
        named = template if isinstance(template, Mapping) else {"default": template}
        written = []
        for name, text in named.items():
            path = folder / (prefix + TEMPLATE) if name == "default" else folder / TEMPLATES / f"{name}.jinja"
            path.parent.mkdir(exist_ok=True)
            write(path, text)
            written.append(path)
        return written

    def save_vocabulary(
        self, save_directory: str | os.PathLike[str], filename_prefix: str | None = None
    ) -> tuple[str, ...]:
        """Write the vocabulary in the model's older form and return the paths; none where it has no older form."""
        return ()

    def save_backend(self, folder: Path, prefix: str) -> list[Path]:
        """Write tokenizer.json, where the tokenizer has one."""
        return []

    def push_to_hub(
        self,
        repo_id: str,
        commit_message: str = "Upload tokenizer",
        private: bool | None = None,
        token: str | bool | None = None,
        revision: str | None = None,
        create_pr: bool = False,
        **options: Any,
    ) -> str:
        """Upload the tokenizer's files to a Hub repository, made where missing, and return the commit's address."""
        import tempfile

        from huggingface_hub import HfApi

        api = HfApi(token=token)
        repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            commit = api.upload_folder(
                repo_id=repo_id,
                folder_path=folder,
                commit_message=commit_message,
                revision=revision,
                create_pr=create_pr,
            )
        return str(commit.commit_url)


def _plain(value: Any) -> Any:
    """A setting as tokenizer_config.json holds it: tokens as strings."""
    if isinstance(value, AddedToken):
        return value.content
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, Mapping) else value


def _described(value: Any) -> Any:
    """A token as special_tokens_map.json holds it."""
    if isinstance(value, list):
        return [_described(item) for item in value]
    if isinstance(value, AddedToken):
        plain = not (value.lstrip or value.rstrip or value.single_word or value.normalized)
        fields = {key: item for key, item in describe(value).items() if key != "special"}
        return value.content if plain else fields
    return value
