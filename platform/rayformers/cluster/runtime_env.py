"""The only builder of Ray runtime environments: how the package and its settings reach the nodes.

A cluster on this machine imports the package from where the driver did, so its path is enough. Other machines get the
package itself as a `py_modules` upload (`working_dir` alone does not put it on the import path of workers).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from ..errors import ConfigError

PACKAGE_DIR = Path(__file__).resolve().parent.parent
JOB_CONFIG_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
# Addresses and switches that every process of a job must agree on. None of them holds a secret.
FORWARDED = ("MLFLOW_TRACKING_URI", "HF_ENDPOINT", "HF_HUB_OFFLINE", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION")
UPLOAD_EXCLUDES = ("**/__pycache__", ".git", ".venv", "runs", "mlruns", "mlartifacts", "*.db", "dist", "build")


def runtime_env(
    *,
    local: bool = True,
    upload: bool = True,
    device: Literal["cpu", "cuda"] | None = None,
    env_vars: Mapping[str, str] | None = None,
    secrets: Sequence[str] = (),
    working_dir: str | Path | None = None,
    pip: Sequence[str] = (),
) -> dict[str, Any]:
    """A runtime environment for `ray.init`, `connect` or a Ray Job.

    Args:
        local: the nodes are this machine, or see its files.
        upload: with local=False, send the package along; False where the nodes' image has it.
        device: pins DeepSpeed's accelerator. None lets every worker find its own, as a cluster with both kinds needs.
        env_vars: variables for every worker; they win over the forwarded ones.
        secrets: NAMES of variables to copy from this process. Ray keeps the values with the job, where whoever can
            read the cluster's dashboard can read them: prefer credentials that nodes have by themselves.
        working_dir: folder to upload and start in (a job's own files).
        pip: packages for the nodes to install before workers start.

    Raises:
        ConfigError: a secret is not set here, or `working_dir` is no folder.
    """
    variables = {"TOKENIZERS_PARALLELISM": "false"}
    variables |= {name: os.environ[name] for name in FORWARDED if os.environ.get(name)}
    if device is not None:
        variables["DS_ACCELERATOR"] = device
    variables |= {name: _secret(name) for name in secrets}
    variables |= dict(env_vars or {})
    environment: dict[str, Any] = {"env_vars": variables}
    if local:
        inherited = variables.get("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
        parts = [str(PACKAGE_DIR.parent), *(part for part in inherited.split(os.pathsep) if part)]
        variables["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(parts))
        variables.setdefault("PATH", path_with_tools())
    elif upload:
        environment["py_modules"] = [str(PACKAGE_DIR)]
    if working_dir is not None:
        folder = Path(working_dir).resolve()
        if not folder.is_dir():
            raise ConfigError(f"working_dir {str(working_dir)!r} is not a folder; give the folder that holds the job.")
        environment["working_dir"] = str(folder)
        environment["excludes"] = list(UPLOAD_EXCLUDES)
    if pip:
        environment["pip"] = list(pip)
    return environment


def path_with_tools() -> str:
    """PATH with this interpreter's folder: DeepSpeed compiles with the `ninja` there, also when no one activated it."""
    tools = str(Path(sys.executable).parent)
    return os.pathsep.join(dict.fromkeys([tools, *os.environ.get("PATH", os.defpath).split(os.pathsep)]))


def _secret(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise ConfigError(
            f"The secret {name!r} is not set in this environment. Export {name} before you start the job."
        )
    return value


def without_inherited(environment: Mapping[str, Any], inherited: Mapping[str, Any]) -> dict[str, Any]:
    """`environment` less what a submitted job's own environment already sets: Ray refuses a key that both give."""
    rest = {key: value for key, value in environment.items() if key not in inherited or key == "env_vars"}
    taken = inherited.get("env_vars", {})
    rest["env_vars"] = {key: value for key, value in environment.get("env_vars", {}).items() if key not in taken}
    return rest
