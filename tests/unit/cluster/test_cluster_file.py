"""cluster.yaml against the schema of the installed Ray, and against what jobs ask for."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def cluster() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "cluster.yaml").read_text(encoding="utf-8"))


def ray_file(*parts: str) -> str:
    spec = find_spec("ray")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent.joinpath(*parts).read_text(encoding="utf-8")


def test_it_fits_the_schema_of_the_installed_ray(cluster: dict[str, Any]) -> None:
    schema = json.loads(ray_file("autoscaler", "ray-schema.json"))
    jsonschema.Draft7Validator(schema).validate(cluster)
    misspelt = cluster | {"max_worker": 3}
    with pytest.raises(jsonschema.ValidationError, match="max_worker"):
        jsonschema.Draft7Validator(schema).validate(misspelt)


def test_node_types_add_up(cluster: dict[str, Any]) -> None:
    types = cluster["available_node_types"]
    workers = {name: node for name, node in types.items() if name != cluster["head_node_type"]}
    assert cluster["head_node_type"] in types
    assert cluster["max_workers"] >= sum(node["max_workers"] for node in workers.values())
    assert types[cluster["head_node_type"]]["resources"]["CPU"] == 0


def test_jobs_find_nodes(cluster: dict[str, Any]) -> None:
    """A training worker fits on a GPU node with its CPUs, and the data tasks of a run fit beside it."""
    from rayformers.cluster.connect import DATA_CPUS
    from rayformers.training.job import ScaleConfig

    train, data = (cluster["available_node_types"][name]["resources"] for name in ("train", "data"))
    assert train["CPU"] / train["GPU"] >= ScaleConfig().cpus_per_worker
    assert data["CPU"] >= DATA_CPUS


def test_the_image_has_the_pinned_ray(cluster: dict[str, Any]) -> None:
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    version = next(pin.removeprefix("ray==") for pin in pins if pin.startswith("ray=="))
    assert cluster["docker"]["image"].startswith(f"rayproject/ray:{version}-")


def test_mounted_files_exist(cluster: dict[str, Any]) -> None:
    for source in cluster["file_mounts"].values():
        assert (ROOT / source).exists(), source
