"""Hand a Serve config file to a running cluster and wait for its endpoints: what `rayformers deploy FILE` runs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..config import Origin, read_yaml
from ..errors import ConfigError, ResourceError
from .failures import reason_of
from .ports import require_free_port
from .registry import registry_variables
from .settings import batching_of, parse_arguments

BUILDER = "rayformers.serving:app"
DEFAULT_DASHBOARD = "http://127.0.0.1:8265"
POLL_INTERVAL_S = 0.5
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1", "0.0.0.0")


def deploy(
    path: str | Path,
    address: str | None = None,
    *,
    timeout_s: float = 600.0,
    on_status: Callable[[str, str], None] | None = None,
) -> list[str]:
    """Deploy the Serve config file at `path` and wait until every application runs.

    Args:
        path: a file that Ray's own `serve deploy` takes as well.
        address: the cluster's dashboard, http://host:port. None: RAY_DASHBOARD_ADDRESS, else the cluster that this
            process is connected to, else http://127.0.0.1:8265.
        timeout_s: how long to wait. The deployment goes on afterwards.
        on_status: called with an application's name and status whenever the status changes.

    Returns:
        The URL of each application, in the file's order.

    Raises:
        NotFoundError: the file does not exist.
        ConfigError: the file is wrong; file, line and key are named.
        ResourceError: no cluster answers, the port is taken, or an application does not come up (with the reason).
    """
    config, origin = read_yaml(Path(path))
    check_config(config, origin)
    dashboard = _dashboard_address(address)
    local = urlsplit(dashboard).hostname in LOCAL_HOSTS
    client = _connect(dashboard)
    http = config.get("http_options") or {}
    details = client.get_serve_details()
    if local and not details.get("proxies"):
        require_free_port(str(http.get("host", "0.0.0.0")), int(http.get("port", 8000)))
    config["applications"] = [_with_environment(one, local=local) for one in config["applications"]]
    try:
        client.deploy_applications(config)
    except RuntimeError as error:
        raise ConfigError(f"Ray Serve refuses {path}: {reason_of([str(error)])}") from error
    details = _wait(client, [str(one["name"]) for one in config["applications"]], timeout_s, on_status)
    return [_url(details, str(one["name"]), dashboard) for one in config["applications"]]


def check_config(config: Mapping[str, Any], origin: Origin) -> None:
    """Check the parts of a Serve config that Ray would find wrong only on the cluster.

    Raises:
        ConfigError: with the file and, where it is known, the line.
    """
    applications = config.get("applications")
    if not isinstance(applications, list) or not applications:
        raise ConfigError(f"{origin.at(('applications',))} must be a list of at least one application.")
    names: list[str] = []
    for index, application in enumerate(applications):
        where = f"{origin.name}: applications[{index}]"
        if not isinstance(application, dict) or not application.get("import_path"):
            raise ConfigError(f"{where} lacks 'import_path'. For a pipeline it is {BUILDER}.")
        application.setdefault("name", "default")
        if application["name"] in names:
            raise ConfigError(f"{where}.name is {application['name']!r}, as another application's. Give each its own.")
        names.append(application["name"])
        if application["import_path"] == BUILDER:
            arguments = parse_arguments(application.get("args") or {}, where=f"{where}.args")
            for deployment in application.get("deployments") or []:
                if deployment.get("user_config") is not None:
                    batching_of(arguments, deployment["user_config"], where=f"{where}.deployments.user_config")


def _with_environment(application: dict[str, Any], *, local: bool) -> dict[str, Any]:
    """The application with what its processes need to find the package, the model and the registry."""
    if application["import_path"] != BUILDER:
        return application
    from ..cluster import runtime_env

    given = application.get("runtime_env") or {}
    arguments = dict(application["args"])
    variables = registry_variables(str(arguments["model"])) if local else {}
    if local and Path(arguments["model"]).is_dir():
        # The cluster's processes run in another folder than this one.
        arguments["model"] = str(Path(arguments["model"]).resolve())
    variables |= given.get("env_vars") or {}
    # Another machine's cluster has the package in its image: Serve takes uploads only as remote addresses.
    built = runtime_env(local=local, upload=False, env_vars=variables)
    return {**application, "args": arguments, "runtime_env": {**given, **built}}


def _dashboard_address(address: str | None) -> str:
    chosen = address or os.environ.get("RAY_DASHBOARD_ADDRESS") or _connected_dashboard() or DEFAULT_DASHBOARD
    if not chosen.startswith(("http://", "https://")):
        raise ConfigError(f"address is {chosen!r}; expected the cluster's dashboard, such as {DEFAULT_DASHBOARD}.")
    return chosen


def _connected_dashboard() -> str | None:
    import ray

    if not ray.is_initialized():
        return None
    from ..cluster import connect

    return connect().dashboard_url


def _connect(dashboard: str) -> Any:
    from ray.dashboard.modules.serve.sdk import ServeSubmissionClient

    try:
        return ServeSubmissionClient(dashboard)
    except (ConnectionError, RuntimeError) as error:
        raise ResourceError(
            f"No Ray cluster answers at {dashboard}. Start one with `ray start --head` (this machine) or "
            "`ray up cluster.yaml`, or give its dashboard's address."
        ) from error


def _wait(
    client: Any, names: list[str], timeout_s: float, on_status: Callable[[str, str], None] | None
) -> dict[str, Any]:
    """The cluster's Serve details once all applications run."""
    deadline_s = time.monotonic() + timeout_s
    shown: dict[str, str] = {}
    while True:
        details: dict[str, Any] = client.get_serve_details()
        for name in names:
            application = details["applications"].get(name, {})
            status = application.get("status", "NOT_STARTED")
            if shown.get(name) != status:
                shown[name] = status
                if on_status is not None:
                    on_status(name, status)
            if status in ("DEPLOY_FAILED", "UNHEALTHY"):
                raise ResourceError(f"Application {name!r} does not run ({status}): {_why(application)}")
        if all(shown[name] == "RUNNING" for name in names):
            return details
        if time.monotonic() > deadline_s:
            waiting = [name for name in names if shown[name] != "RUNNING"]
            reasons = "; ".join(f"{name!r}: {_why(details['applications'].get(name, {}))}" for name in waiting)
            raise ResourceError(f"Not running after {timeout_s:g} s: {reasons}. `serve status` shows what goes on.")
        time.sleep(POLL_INTERVAL_S)


def _why(application: Mapping[str, Any]) -> str:
    deployments = application.get("deployments") or {}
    messages = [str(one.get("message", "")) for one in deployments.values()]
    return reason_of([*messages, str(application.get("message", ""))])


def _url(details: Mapping[str, Any], name: str, dashboard: str) -> str:
    """Where an application answers. Host and port are the running proxies', which a later file cannot change."""
    http = details.get("http_options") or {}
    host = str(http.get("host") or "127.0.0.1")
    if host in ("0.0.0.0", "::"):
        host = urlsplit(dashboard).hostname or "127.0.0.1"
    prefix = str(details["applications"][name].get("route_prefix") or "/")
    return f"http://{host}:{http.get('port', 8000)}{prefix.rstrip('/')}/"
