"""A Ray cluster for each module here, started the way a job starts one; two at once would share agent ports."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rayformers.cluster.connect import Cluster, connect


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[Cluster]:
    with connect("local", num_cpus=6) as cluster:
        yield cluster
