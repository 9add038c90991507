"""Make tests/manifests/*.json: names, dtypes and shapes of the tensors of public checkpoints, without their weights.

    python -m tests.parity.manifests [NAME ...]

A manifest holds the configuration of a public checkpoint, the class that its files were saved from, and what the
reference writes for it, from modules on the meta device. Layers that are alike are stored once.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "manifests"
Shapes = dict[str, tuple[str, list[int]]]


def derive(architecture: str, config: Mapping[str, Any]) -> Shapes:
    """What the reference saves for a class and a configuration: name -> dtype and shape, tied tensors once."""
    import torch
    import transformers
    from transformers.core_model_loading import revert_weight_conversion

    kind = getattr(transformers, architecture)
    with torch.device("meta"):
        model = kind(kind.config_class(**config))
        model.tie_weights()
    seen: set[int] = set()
    tensors: dict[str, torch.Tensor] = {}
    tied = getattr(model, "all_tied_weights_keys", None) or {}
    left = set(model._keys_to_ignore_on_save or ())
    apart = {"lm_head.weight"} if config.get("tie_word_embeddings") is False else set()  # version 5 ties T5's anyway
    for name, tensor in model.state_dict(keep_vars=True).items():
        if name in apart or (name not in tied and id(tensor) not in seen and name not in left):
            tensors[name] = tensor.detach()
            seen.add(id(tensor))
    tensors = revert_weight_conversion(model, tensors)  # version 5 names some modules otherwise in memory than in files
    return {name: (str(tensor.dtype).removeprefix("torch."), list(tensor.shape)) for name, tensor in tensors.items()}


def collapse(shapes: Shapes) -> dict[str, Any]:
    """Equal layers once: {"once": {name: entry}, "each": [{"prefix", "from", "to" (excluded), "tensors"}]}."""
    layers: dict[str, dict[int, dict[str, Any]]] = {}
    once: dict[str, Any] = {}
    for name, entry in shapes.items():
        found = re.match(r"(.*?\.)(\d+)(\..*)$", name)
        if found is None:
            once[name] = entry
        else:
            layers.setdefault(found[1], {}).setdefault(int(found[2]), {})[found[3]] = entry
    each: list[dict[str, Any]] = []
    for prefix, numbered in layers.items():
        for number, tensors in sorted(numbered.items()):
            last = each[-1] if each and each[-1]["prefix"] == prefix else None
            if last is not None and last["tensors"] == tensors and last["to"] == number:
                last["to"] = number + 1
            else:
                each.append({"prefix": prefix, "from": number, "to": number + 1, "tensors": tensors})
    return {"once": once, "each": each}


def expand(stored: Mapping[str, Any]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The inverse of `collapse`."""
    out = {name: (dtype, tuple(shape)) for name, (dtype, shape) in stored["once"].items()}
    for group in stored["each"]:
        for number in range(group["from"], group["to"]):
            for name, (dtype, shape) in group["tensors"].items():
                out[f"{group['prefix']}{number}{name}"] = (dtype, tuple(shape))
    return out


def write(name: str, architecture: str, config: Mapping[str, Any]) -> None:
    """Make one manifest; `config` names what differs from the defaults, and the model_type."""
    content = {"architecture": architecture, "config": dict(config), **collapse(derive(architecture, config))}
    FOLDER.mkdir(exist_ok=True)
    file = FOLDER / f"{name}.json"
    file.write_text(_compact(content), encoding="utf-8")


def _compact(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, indent=1)
    for _ in range(2):  # shapes, then the entries around them
        text = re.sub(
            r"\[\s*([^\[\]{}]*(?:\[[^\[\]{}]*\])?)\s*\]", lambda found: f"[{' '.join(found[1].split())}]", text
        )
    return text + "\n"


def main(names: list[str]) -> None:
    """Write the manifests that are named, or all."""
    from tests.parity.manifest_sources import SOURCES

    for name, (architecture, config) in SOURCES.items():
        if not names or name in names:
            write(name, architecture, config)


if __name__ == "__main__":
    main(sys.argv[1:])
