"""Start or join a Ray cluster."""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from ..errors import ConfigError, ResourceError
from .runtime_env import JOB_CONFIG_VARIABLE, path_with_tools, runtime_env, without_inherited

DATA_CPUS = 2
"""Logical CPUs that a run needs beside its workers, for data tasks and the run's own actors. With none, it hangs."""
PROBE_TIMEOUT_S = 5.0


@dataclass(kw_only=True)
class Cluster:
    """A connection to a Ray cluster. Leaving its `with` block undoes what `connect` did, never more."""

    address: str
    """host:port of the control store, fit for RAY_ADDRESS."""
    dashboard_url: str | None
    """http://host:port, or None when the cluster runs without a dashboard."""
    started: bool
    """True when `connect` started the cluster: closing stops its processes."""
    joined: bool
    """True when `connect` connected this process: closing disconnects it."""
    resources: dict[str, float] = field(default_factory=dict)
    """Total resources of the live nodes: "CPU", "GPU" in units, "memory" in bytes."""

    @property
    def num_cpus(self) -> int:
        """Logical CPUs of the cluster."""
        return int(self.resources.get("CPU", 0))

    @property
    def num_gpus(self) -> int:
        """GPUs of the cluster."""
        return int(self.resources.get("GPU", 0))

    def close(self) -> None:
        """Disconnect, and stop the cluster when this connection started it. Closing twice does nothing."""
        if self.joined:
            import ray

            self.joined = False
            ray.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def needed_cpus(num_workers: int, cpus_per_worker: float = 1.0) -> int:
    """Logical CPUs that a run of `num_workers` needs, data tasks included."""
    return -int(-(num_workers * cpus_per_worker + DATA_CPUS) // 1)


def connect(
    address: str | None = None,
    *,
    num_cpus: int | None = None,
    num_gpus: int | None = None,
    environment: Mapping[str, Any] | None = None,
    dashboard: bool = False,
    log_to_driver: bool = False,
    namespace: str | None = None,
    object_store_bytes: int | None = None,
) -> Cluster:
    """Join the cluster at `address`, else start one on this machine.

    A process that is connected already keeps its connection, and closing the handle leaves it alone.

    Args:
        address: "host:port", "auto" (the cluster that runs on this machine), "local" (always a new one), or None:
            RAY_ADDRESS where it is set (a submitted job's is), else a new one.
        num_cpus: logical CPUs of a new cluster; the machine's count where that is more. See `needed_cpus`.
        num_gpus: GPUs of a new cluster; None finds them.
        environment: a runtime environment from `runtime_env`; None makes the usual one.
        dashboard: start the dashboard with a new cluster (its port is 8265 or the next free one).
        log_to_driver: print what workers print.
        namespace: Ray namespace for named actors.
        object_store_bytes: shared memory of a new cluster; None lets Ray take 30 % of the machine's.

    Raises:
        ConfigError: the address is none.
        ResourceError: nothing answers at the address, or a new cluster does not come up.
    """
    # Ray reads these when it is imported. The first keeps CPU workers from warning about GPUs that they do not have.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    if ray.is_initialized():
        return _handle(ray, started=False, joined=False)
    target = address or os.environ.get("RAY_ADDRESS") or "local"
    local = target in ("local", "auto")
    if not local:
        _probe(target)
    chosen = dict(environment) if environment is not None else runtime_env(local=local)
    inherited = json.loads(os.environ.get(JOB_CONFIG_VARIABLE) or "{}").get("runtime_env") or {}
    options: dict[str, Any] = {
        "address": target,
        "runtime_env": without_inherited(chosen, inherited) if inherited else chosen,
        "namespace": namespace,
        "log_to_driver": log_to_driver,
        "logging_level": logging.ERROR,
    }
    if target == "local":
        # The new node's processes inherit it: a submitted job's `python` is then this one.
        os.environ["PATH"] = path_with_tools()
        options |= {
            "num_cpus": max(num_cpus or 0, os.cpu_count() or 1),
            "num_gpus": num_gpus,
            "include_dashboard": dashboard,
            "object_store_memory": object_store_bytes,
        }
    try:
        ray.init(**options)
    except (ConnectionError, TimeoutError) as error:
        raise _unreachable(target, error) from error
    except (RuntimeError, ValueError, OSError) as error:
        raise ResourceError(f"Ray could not start with address {target!r}: {error}") from error
    return _handle(ray, started=target == "local", joined=True)


def _probe(target: str) -> None:
    """Fail in seconds where nothing listens; Ray itself would try for minutes."""
    host, _, port = target.rpartition("://")[2].partition(":")
    if not host or not port.isdigit():
        raise ConfigError(f'The cluster address {target!r} is not "host:port", "auto" or "local".')
    try:
        socket.create_connection((host, int(port)), timeout=PROBE_TIMEOUT_S).close()
    except OSError as error:
        raise _unreachable(target, error) from error


def _unreachable(target: str, reason: object) -> ResourceError:
    return ResourceError(
        f"No Ray cluster answers at {target!r} ({reason}). Start one with `ray up cluster.yaml` or "
        "`ray start --head`, or leave the address out to use this machine. A cluster that a token guards "
        "lets in who sets RAY_AUTH_MODE=token."
    )


def _handle(ray: Any, *, started: bool, joined: bool) -> Cluster:
    context = ray.get_runtime_context()
    url = ray._private.worker.get_dashboard_url() if hasattr(ray, "_private") else None
    return Cluster(
        address=context.gcs_address,
        dashboard_url=f"http://{url}" if url else None,
        started=started,
        joined=joined,
        resources=dict(ray.cluster_resources()),
    )


def require(cluster: Cluster, *, num_workers: int, cpus_per_worker: float = 1.0, gpus_per_worker: float = 0.0) -> None:
    """Fail now when a fixed-size cluster can never run the workers, instead of waiting for ever.

    Raises:
        ResourceError: the live nodes are too few; the message gives both numbers. A cluster that autoscales
            should not be asked: its missing nodes come when they are needed.
    """
    cpus, gpus = needed_cpus(num_workers, cpus_per_worker), num_workers * gpus_per_worker
    if cluster.num_cpus < cpus:
        raise ResourceError(
            f"{num_workers} workers of {cpus_per_worker:g} CPUs and {DATA_CPUS} CPUs for data tasks need {cpus} "
            f"logical CPUs; the cluster at {cluster.address} has {cluster.num_cpus}. "
            "Lower scale.num_workers or add nodes."
        )
    if cluster.num_gpus < gpus:
        raise ResourceError(
            f"{num_workers} workers of {gpus_per_worker:g} GPUs need {gpus:g} GPUs; the cluster at {cluster.address} "
            f"has {cluster.num_gpus}. Lower scale.num_workers, or set scale.device to cpu."
        )
