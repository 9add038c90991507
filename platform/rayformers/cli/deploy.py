"""`rayformers deploy`: hand a Serve config file to a running cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def deploy(
    config: Annotated[Path, typer.Argument(metavar="FILE", help="A Serve config, such as serve_apps/digits.yaml.")],
    address: Annotated[
        str | None, typer.Option(envvar="RAY_DASHBOARD_ADDRESS", help="The cluster's dashboard, http://host:8265.")
    ] = None,
    timeout_s: Annotated[float, typer.Option(min=1, help="Seconds to wait for the endpoints.")] = 600.0,
) -> None:
    """Deploy a Ray Serve config file to a running cluster and wait until its endpoints answer.

    Example: rayformers deploy serve_apps/digits.yaml --address http://head:8265
    """
    from ..serving import deploy as deploy_file

    def report(name: str, status: str) -> None:
        print(f"{name}: {status.lower()}", flush=True)

    for url in deploy_file(config, address, timeout_s=timeout_s, on_status=report):
        print(url)
