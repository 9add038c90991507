"""`rayformers submit`: run a job file as a Ray Job on a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .shared import JobFile, Overrides


def submit(
    job: JobFile,
    overrides: Overrides = None,
    address: Annotated[
        str, typer.Option(envvar="RAY_DASHBOARD_ADDRESS", help="The cluster's dashboard, such as http://head:8265.")
    ] = "http://127.0.0.1:8265",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Stream logs and return the job's exit code.")] = True,
    working_dir: Annotated[
        Path | None, typer.Option(help="Folder to send along, when the job reads files below it by relative paths.")
    ] = None,
    secret: Annotated[
        list[str] | None, typer.Option(help="NAME of a variable to copy from here to the job; may be repeated.")
    ] = None,
    pip: Annotated[list[str] | None, typer.Option(help="Package for the nodes to install; may be repeated.")] = None,
) -> None:
    """Send a job file and this package to a cluster, and run it there as a Ray Job.

    Leaving with Ctrl-C leaves the job running.

    Example: rayformers submit jobs/digits.yaml --address http://head:8265 scale.num_workers=8
    """
    from ..cluster import submit as submit_job
    from ..training.job import load_job

    load_job(job, overrides or [])  # what is wrong with the file shows here, not minutes later on the cluster
    result = submit_job(
        job,
        overrides or [],
        address=address,
        wait=wait,
        working_dir=working_dir,
        secrets=secret or [],
        pip=pip or [],
        on_log=lambda text: print(text, end="", flush=True),
    )
    if result.exit_code is None:
        print(f"Submitted {result.id}. Follow it with: ray job logs --follow --address {address} {result.id}")
    elif result.exit_code:
        raise typer.Exit(result.exit_code)
