"""Start, join and leave clusters."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from rayformers.cluster import Cluster, connect, needed_cpus, require
from rayformers.errors import ConfigError, ResourceError


@pytest.mark.parametrize(("workers", "each", "expected"), [(2, 1.0, 4), (3, 0.5, 4), (1, 4.0, 6), (0, 1.0, 2)])
def test_data_tasks_get_their_share(workers: int, each: float, expected: int) -> None:
    assert needed_cpus(workers, each) == expected


def test_a_cluster_that_is_too_small_is_told_at_once() -> None:
    cluster = Cluster(
        address="a:1", dashboard_url=None, started=False, joined=False, resources={"CPU": 4.0, "GPU": 1.0}
    )
    require(cluster, num_workers=2)
    with pytest.raises(ResourceError, match=r"need 5 logical CPUs; the cluster at a:1 has 4"):
        require(cluster, num_workers=3)
    with pytest.raises(ResourceError, match="need 2 GPUs"):
        require(cluster, num_workers=2, gpus_per_worker=1)


def test_nothing_listens_there() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(ResourceError, match=f"No Ray cluster answers at '127.0.0.1:{port}'"):
        connect(f"127.0.0.1:{port}")


@pytest.mark.parametrize("address", ["somewhere", "head:", ":6379", "head:port"])
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(ConfigError, match='is not "host:port"'):
        connect(address)


ROAD = """
import os, ray
from rayformers.cluster import connect, runtime_env

@ray.remote
def look():
    import rayformers
    return rayformers.__file__, os.environ["DS_ACCELERATOR"]

with connect("local", num_cpus=4, environment=runtime_env(device="cpu"), object_store_bytes=100 * 1024**2) as outer:
    assert outer.started and outer.num_cpus >= 4, outer
    assert ray.get(look.remote()) == (__import__("rayformers").__file__, "cpu")
    with connect() as inner:
        assert not inner.started and inner.address == outer.address
    assert ray.is_initialized(), "closing a handle must not close another's connection"
assert not ray.is_initialized()
outer.close()
print("whole")
"""


def test_start_join_and_leave() -> None:
    """In a process of its own, whose workers start from an empty folder: the package is found by its path alone."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", ROAD], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "whole", done.stderr
    assert "INFO" not in done.stderr and "Warning" not in done.stderr


def test_what_ray_refuses_is_told(tmp_path: Path) -> None:
    """Ray's own start-up errors arrive as ResourceError, with what was asked."""
    code = (
        "from rayformers.cluster import connect\nfrom rayformers.errors import ResourceError\n"
        "try:\n    connect('local', object_store_bytes=1)\n"
        "except ResourceError as error:\n    print('told:', error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.stdout.startswith("told: Ray could not start with address 'local'"), done.stderr
