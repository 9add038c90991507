"""One Ray cluster for all tests here, started the way a job starts one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rayformers.cluster.connect import Cluster, connect


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[Cluster]:
    with connect("local", num_cpus=6) as cluster:
        yield cluster
