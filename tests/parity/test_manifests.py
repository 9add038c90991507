"""The tensors of public checkpoints map one to one onto ours, by name and shape."""

from __future__ import annotations

import json
from fnmatch import fnmatch

import pytest
import torch
from tests.parity.manifests import FOLDER, expand

import rayformers

FILES = sorted(FOLDER.glob("*.json"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_manifest_maps_one_to_one(file) -> None:
    stored = json.loads(file.read_text(encoding="utf-8"))
    kind = getattr(rayformers, stored["architecture"])
    with torch.device("meta"):
        model = kind(kind.config_class(**stored["config"]))
        tensors = {name: torch.empty(shape, dtype=getattr(torch, d)) for name, (d, shape) in expand(stored).items()}
    rules = model.weight_map(model.config)
    ours = {name: tuple(tensor.shape) for name, tensor in rules.to_ours(tensors).items()}
    wanted = model.state_dict()
    aliases = {alias for alias, _ in model.tied_names()}
    computed = [name for name in wanted for pattern in kind.architecture().computed if fnmatch(name, pattern)]
    optional = set(computed) - ours.keys()
    unique = {name: tuple(tensor.shape) for name, tensor in wanted.items() if name not in aliases | optional}
    assert ours.keys() - aliases == unique.keys()
    assert all(ours[name] == shape for name, shape in unique.items())
    written = model.hub_state_dict()
    assert {name: written[name].shape for name in written} == {name: tensors[name].shape for name in written}
    assert tensors.keys() - written.keys() <= {name for name in tensors if name.endswith("decoder.bias")}


def test_there_are_manifests() -> None:
    assert len(FILES) >= 20
