"""Run a job file as a Ray Job: upload it with the package, follow its logs, hand back its exit code."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError, NotFoundError, ResourceError
from .runtime_env import runtime_env

AGENT_TIMEOUT_S = 30


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A submitted job."""

    id: str
    status: str
    """PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED."""
    exit_code: int | None
    """The job's exit code; None while it runs or when nobody waited."""


def submit(
    job: str | Path,
    overrides: Sequence[str] = (),
    *,
    address: str,
    wait: bool = True,
    working_dir: str | Path | None = None,
    secrets: Sequence[str] = (),
    pip: Sequence[str] = (),
    on_log: Callable[[str], None] | None = None,
) -> Submission:
    """Run `rayformers train` on a job file as a Ray Job.

    Args:
        job: the job file.
        overrides: "key=value" texts, as `rayformers train` takes them.
        address: the cluster's dashboard, http://host:port.
        wait: follow the job to its end.
        working_dir: folder to send along and start in, holding the job file; None sends the job file alone.
        secrets: names of variables to copy to the job (see `runtime_env`).
        pip: packages for the nodes to install first.
        on_log: called with each piece of the job's output.

    Raises:
        ConfigError: the address is none, or the job file lies outside `working_dir`.
        NotFoundError: the job file does not exist.
        ResourceError: no cluster answers.
    """
    file = Path(job).resolve()
    if not file.is_file():
        raise NotFoundError(f"No such file: {job}. Give the path of a job file.")
    if not address.startswith(("http://", "https://")):
        raise ConfigError(f"address is {address!r}; expected the cluster's dashboard, such as http://127.0.0.1:8265.")
    client = _client(address)
    with tempfile.TemporaryDirectory(prefix="rayformers-submit-") as staging:
        folder = Path(staging) if working_dir is None else Path(working_dir).resolve()
        if working_dir is None:
            shutil.copy2(file, folder / file.name)
            inside = Path(file.name)
        elif file.is_relative_to(folder):
            inside = file.relative_to(folder)
        else:
            raise ConfigError(f"The job file {job} lies outside working_dir {working_dir}, which is what is sent.")
        command = shlex.join(["python", "-m", "rayformers.cli.main", "train", inside.as_posix(), *overrides])
        environment = runtime_env(local=False, working_dir=folder, secrets=secrets, pip=pip)
        identity = _send(client, entrypoint=command, runtime_env=environment, metadata={"job": file.name})
    if not wait:
        return Submission(id=identity, status="PENDING", exit_code=None)
    asyncio.run(_follow(client, identity, on_log))
    return _outcome(client, identity, on_log)


def _client(address: str) -> Any:
    from ray.job_submission import JobSubmissionClient

    try:
        return JobSubmissionClient(address)
    except (ConnectionError, RuntimeError) as error:
        raise ResourceError(
            f"No Ray dashboard answers at {address}. Give the address of a running cluster's dashboard "
            "(`ray dashboard cluster.yaml` forwards it to http://127.0.0.1:8265)."
        ) from error


def _send(client: Any, **job: Any) -> str:
    """The id of the submitted job. A cluster that has just started has no agent for jobs in its first seconds."""
    deadline_s = time.monotonic() + AGENT_TIMEOUT_S
    while True:
        try:
            return str(client.submit_job(**job))
        except RuntimeError as error:
            if "No available agent" in str(error) and time.monotonic() < deadline_s:
                time.sleep(1)
                continue
            raise ResourceError(
                f"The cluster did not take the job: {str(error).strip()} See `rayformers doctor`."
            ) from error


async def _follow(client: Any, identity: str, on_log: Callable[[str], None] | None) -> None:
    async for text in client.tail_job_logs(identity):
        if on_log is not None:
            on_log(text)


def _outcome(client: Any, identity: str, on_log: Callable[[str], None] | None) -> Submission:
    """The end of a job whose log stream has closed."""
    info = client.get_job_info(identity)
    while not info.status.is_terminal():
        time.sleep(0.5)
        info = client.get_job_info(identity)
    succeeded = str(info.status.value) == "SUCCEEDED"
    # A job that never started (its environment could not be made) has no exit code of its own.
    code = info.driver_exit_code if info.driver_exit_code is not None else int(not succeeded)
    if not succeeded and info.driver_exit_code is None and on_log is not None and info.message:
        on_log(f"{info.message}\n")
    return Submission(id=identity, status=str(info.status.value), exit_code=code)
