"""The deployment of an application with one model: HTTP and model in one process, so that a request makes one hop."""

from __future__ import annotations

from typing import Any

from ray import serve

from .metrics import EndpointMetrics
from .model import ServedModel
from .settings import AppArguments, batching_of
from .web import build_web


class Endpoint:
    """One replica: a web application around a served model.

    Args:
        arguments: the application's, as plain values.
    """

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._arguments = AppArguments.model_validate(arguments)
        self._metrics = EndpointMetrics(
            model=self._arguments.model, replica=serve.get_replica_context().replica_id.unique_id
        )
        self._model = ServedModel.load(self._arguments, self._metrics)

    def __serve_build_asgi_app__(self) -> Any:
        """Ray Serve's hook for applications that need the constructed replica."""
        return build_web(self._model, self._model.schema, self._arguments.limits, self._metrics)

    def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take new batching without a restart (Ray Serve calls this at the start and when `user_config` changes)."""
        self._model.set_batching(batching_of(self._arguments, user_config))

    def check_health(self) -> None:
        """Ray Serve replaces a replica whose check raises."""
        if not self._model.healthy:
            raise RuntimeError("the batching loop has ended; this replica would answer no request")
