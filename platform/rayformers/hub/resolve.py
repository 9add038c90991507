"""From a reference (folder, Hub id, s3:// or models:/ address) to a local folder with its files."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, NotFoundError, RayformersError
from ..registry import Registry

SCHEMES: Registry[Callable[[str], Path]] = Registry("address scheme")
"""Functions from an address of a scheme to a local folder; targets are imported when first used."""

SCHEMES.add("models", target="rayformers.tracking.mlflow:resolve_model")
SCHEMES.add("package", target="rayformers.hub.installed:package_folder")
for _scheme in ("s3", "gs", "gcs", "abfs", "file", "memory"):
    SCHEMES.add(_scheme, target="rayformers.hub.remote:download")

SMALL_FILES = ("*.json", "*.txt", "*.model", "*.jinja", "*.spm", "*.tiktoken", "additional_chat_templates/*")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


def resolve(
    reference: str | os.PathLike[str],
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
    subfolder: str = "",
    weights: bool = True,
) -> Path:
    """A local folder that holds the files of `reference`.

    Args:
        reference: a local folder; a Hub id ("google/vit-base-patch16-224"); "models:/name@alias" or
            "models:/name/version" in the MLflow registry; or an fsspec address such as "s3://bucket/model".
        revision: branch, tag or commit on the Hub.
        token: Hub token; None takes the stored one (or HF_TOKEN).
        cache_dir: the Hub cache; default HF_HOME's.
        local_files_only: never ask the network (HF_HUB_OFFLINE=1 does the same).
        force_download: fetch again what the cache has.
        subfolder: folder within the repository.
        weights: whether weight files are needed too, or only the small ones.

    Raises:
        NotFoundError: nothing is there, or it cannot be reached; the message says where was looked.
    """
    text = os.fspath(reference)
    scheme, colon, _ = text.partition(":")
    if colon and scheme in SCHEMES:
        folder = SCHEMES.get(scheme)(text)
    elif Path(text).expanduser().is_dir():
        folder = Path(text).expanduser()
    elif _HUB_ID.fullmatch(text) and not text.startswith("."):
        folder = _from_hub(
            text, revision=revision, token=token, cache_dir=cache_dir, force_download=force_download,
            local_files_only=local_files_only, subfolder=subfolder, weights=weights,
        )  # fmt: skip
    else:
        raise NotFoundError(
            f"{text!r} is no existing folder, no Hub id (owner/name), and no address of a known scheme "
            f"({', '.join(SCHEMES)}). Check the spelling."
        )
    folder = folder / subfolder if subfolder else folder
    if not folder.is_dir():
        raise NotFoundError(f"{text!r} has no folder {subfolder!r}.")
    return folder


def _from_hub(reference: str, *, subfolder: str, weights: bool, **options: Any) -> Path:
    import huggingface_hub
    from huggingface_hub import errors

    within = f"{subfolder}/" if subfolder else ""
    patterns = [within + pattern for pattern in SMALL_FILES]
    try:
        folder = Path(str(huggingface_hub.snapshot_download(reference, allow_patterns=patterns, **options)))
        if weights:
            _fetch_weights(huggingface_hub, reference, folder, within, options)
        return folder
    except errors.GatedRepoError as error:
        raise NotFoundError(
            f"{reference!r} is gated: accept its terms on the Hub and pass token=... ({error})"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise NotFoundError(
            f"{reference!r} is neither a local folder nor a repository that this token may read on the Hub. "
            "Check the spelling; for a private one pass token=... or set HF_TOKEN."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise NotFoundError(f"{reference!r} has no revision {options['revision']!r} on the Hub.") from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise NotFoundError(
            f"{reference!r} is not in the local cache and the Hub cannot be reached (offline mode, or no network). "
            "Download it first where there is a network, or give a local folder."
        ) from error
    except (errors.HfHubHTTPError, OSError) as error:
        if isinstance(error, RayformersError):
            raise
        raise NotFoundError(
            f"Downloading {reference!r} from the Hub failed: {error}. Try again; it resumes."
        ) from error


def _fetch_weights(client: Any, reference: str, folder: Path, within: str, options: dict[str, Any]) -> None:
    """Fetch safetensors where the repository has them, the pickled files only where it has not."""
    patterns = [within + "model*.safetensors", within + "model*.safetensors.index.json"]
    client.snapshot_download(reference, allow_patterns=patterns, **options)
    place = folder / within
    if not any(place.glob("*.safetensors")):
        client.snapshot_download(reference, allow_patterns=[within + "pytorch_model*"], **options)


def read_json(file: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        NotFoundError: the file is missing.
        CheckpointError: it is not a JSON object.
    """
    if not file.is_file():
        raise NotFoundError(f"No {file.name} in {file.parent}. Give the folder of a saved model.")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{file} is not valid JSON: {error}. Copy or download it again.") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{file} holds a {type(content).__name__}; expected a JSON object.")
    return content
