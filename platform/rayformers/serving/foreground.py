"""One endpoint in the foreground, on this machine: what `rayformers serve MODEL` runs."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ..errors import ResourceError
from .failures import reason_of
from .ports import require_free_port
from .settings import parse_arguments

logger = logging.getLogger("rayformers.serving")

APPLICATION = "rayformers"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """A stop signal came; not an error, so that nothing catches it by accident."""


def serve(
    model: str,
    task: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    on_ready: Callable[[str], None] | None = None,
    **arguments: Any,
) -> None:
    """Serve one model until SIGINT or SIGTERM, then stop every process that was started.

    Args:
        model: a folder, a Hub id, or models:/name@alias.
        task: the pipeline's task; None infers it.
        host: where to listen; 0.0.0.0 for all interfaces.
        port: TCP port.
        on_ready: called with the endpoint's URL once it answers.
        **arguments: more of AppArguments (device, dtype, replicas, batching, limits).

    Raises:
        ConfigError: an argument is wrong.
        NotFoundError: the model does not exist.
        ResourceError: the port is taken, Ray does not start, or the model cannot be loaded.
    """
    checked = parse_arguments({"model": model, "task": task, **arguments}, where="serve")
    require_free_port(host, port)
    model_folder(checked.model)
    try:
        with _stop_signals_raise() as arm:
            _run(checked, host, port, on_ready, arm)
    except Stopped:
        logger.info("stopped")


def model_folder(model: str) -> str:
    """The local folder of a model's small files; raises NotFoundError now where a replica would fail later."""
    from ..hub import resolve

    return str(resolve(model, weights=False))


def _run(arguments: Any, host: str, port: int, on_ready: Callable[[str], None] | None, arm: Callable[[], None]) -> None:
    from ray import serve as ray_serve

    from ..cluster import connect, runtime_env
    from .builder import app
    from .registry import registry_variables

    num_cpus = -int(-arguments.replicas.num_cpus * arguments.replicas.max // 1) + 1
    environment = runtime_env(env_vars=registry_variables(arguments.model))
    with connect("local", num_cpus=num_cpus, environment=environment):
        arm()  # Ray has put its own handlers in place of ours
        try:
            ray_serve.start(proxy_location="HeadOnly", http_options={"host": host, "port": port})
            try:
                ray_serve.run(app(arguments), name=APPLICATION, route_prefix="/")
            except RuntimeError as error:
                raise ResourceError(f"The endpoint did not start: {_deployment_message(ray_serve, error)}") from error
            if on_ready is not None:
                on_ready(f"http://{host}:{port}/")
            threading.Event().wait()
        finally:
            for number in STOP_SIGNALS:
                signal.signal(number, signal.SIG_IGN)  # an impatient second Ctrl-C must not leave processes behind
            # Requests in flight are answered first; the rest of Serve ends with the cluster, which is ours alone.
            ray_serve.delete(APPLICATION)


def _deployment_message(ray_serve: Any, error: RuntimeError) -> str:
    status = ray_serve.status().applications.get(APPLICATION)
    messages = [deployment.message for deployment in status.deployments.values()] if status else []
    return reason_of([*messages, str(error)])


@contextmanager
def _stop_signals_raise() -> Iterator[Callable[[], None]]:
    """Turn stop signals into Stopped; yields a function that does so again after another library took them over."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(signal.Signals(number).name)

    def arm() -> None:
        for number in STOP_SIGNALS:
            signal.signal(number, stop)

    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    arm()
    try:
        yield arm
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
