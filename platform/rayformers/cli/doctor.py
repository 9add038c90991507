"""`rayformers doctor`: what of this machine is ready, and what to do about the rest."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import typer

from ..errors import RayformersError

PACKAGES = (
    "rayformers",
    "torch",
    "ray",
    "deepspeed",
    "mlflow",
    "safetensors",
    "tokenizers",
    "huggingface_hub",
    "pyarrow",
)
PORTS = {6379: "Ray head", 8265: "Ray dashboard", 8000: "Ray Serve", 5000: "MLflow UI"}
FREE_DISK_BYTES = 5 * 1024**3
Status = Literal["ok", "note", "fail"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One line of the report. A "note" limits what can be done; a "fail" stops the main road."""

    name: str
    status: Status
    detail: str


def doctor() -> None:
    """Check versions, the compiler for DeepSpeed's operators, GPUs, ports, disk and MLflow.

    Exits with 1 when something that training or serving needs is missing.

    Example: rayformers doctor
    """
    from .shared import console

    out, failed = console(), False
    colours = {"ok": "green", "note": "yellow", "fail": "red"}
    for check in checks():
        failed = failed or check.status == "fail"
        out.print(f"[{colours[check.status]}]{check.status:<4}[/]  {check.name:<16} ", end="")
        out.print(check.detail, markup=False)
    if failed:
        raise typer.Exit(1)


def checks() -> Iterator[Check]:
    """All checks, cheap ones first."""
    yield Check(name="python", status="ok", detail=f"{sys.version.split()[0]} ({sys.executable})")
    yield from _packages()
    yield from _compiler()
    yield _accelerator()
    yield from _ports()
    yield _disk()
    yield _cluster()
    yield _registry()


def _packages() -> Iterator[Check]:
    for name in PACKAGES:
        try:
            yield Check(name=name, status="ok", detail=importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Check(name=name, status="fail", detail="not installed: pip install 'rayformers[all]'")


def _compiler() -> Iterator[Check]:
    compiler = next((path for name in ("c++", "g++", "clang++") if (path := shutil.which(name))), None)
    ninja = shutil.which("ninja", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    cache = Path(os.environ.get("TORCH_EXTENSIONS_DIR") or Path.home() / ".cache" / "torch_extensions")
    built = sorted({library.stem for library in cache.rglob("*.so")}) if cache.is_dir() else []
    if compiler and ninja:
        ready = f"built: {', '.join(built)}" if built else "none is built yet"
        yield Check(name="DeepSpeed ops", status="ok", detail=f"{compiler}, {ninja}; {ready}")
    else:
        missing = " and ".join(
            name for name, path in (("a C++ compiler (g++)", compiler), ("ninja", ninja)) if not path
        )
        yield Check(
            name="DeepSpeed ops", status="note", detail=f"{missing} is missing; DeepSpeed runs without compiled ops"
        )


def _accelerator() -> Check:
    cores = os.cpu_count()
    try:
        import torch
    except ImportError:
        return Check(name="devices", status="fail", detail=f"{cores} CPU cores; torch is missing")
    if not torch.cuda.is_available():
        return Check(name="devices", status="note", detail=f"{cores} CPU cores, no CUDA device")
    gpus = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    listed = ", ".join(f"{gpu.name} {gpu.total_memory / 1024**3:.0f} GiB" for gpu in gpus)
    return Check(name="devices", status="ok", detail=f"{cores} CPU cores, {len(gpus)} GPUs: {listed}")


def _ports() -> Iterator[Check]:
    for port, use in PORTS.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                yield Check(name=f"port {port}", status="note", detail=f"{use}: {error.strerror} (something listens?)")
            else:
                yield Check(name=f"port {port}", status="ok", detail=f"{use}: free")


def _disk() -> Check:
    free = {folder: shutil.disk_usage(folder).free for folder in (Path.cwd(), Path(tempfile.gettempdir()))}
    detail = ", ".join(f"{count / 1024**3:.0f} GiB free at {folder}" for folder, count in free.items())
    return Check(name="disk", status="ok" if min(free.values()) >= FREE_DISK_BYTES else "note", detail=detail)


def _cluster() -> Check:
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        return Check(name="cluster", status="ok", detail="RAY_ADDRESS is not set: jobs start a Ray on this machine")
    host, _, port = address.rpartition("://")[2].partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError) as error:
        return Check(name="cluster", status="fail", detail=f"nothing answers at RAY_ADDRESS={address}: {error}")
    return Check(name="cluster", status="ok", detail=f"{address} answers")


def _registry() -> Check:
    try:
        from ..tracking.mlflow import check, tracking_uri

        uri = tracking_uri()
        check(uri)
    except ImportError as error:
        return Check(name="MLflow", status="fail", detail=str(error))
    except RayformersError as error:
        return Check(name="MLflow", status="fail", detail=str(error))
    return Check(name="MLflow", status="ok", detail=f"{uri} answers")
