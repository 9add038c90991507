"""Where replicas look registered models up."""

from __future__ import annotations


def registry_variables(model: str) -> dict[str, str]:
    """Environment variables with which another process on this machine finds the registry that this one uses."""
    if not model.startswith("models:"):
        return {}
    from ..tracking.mlflow import tracking_uri

    return {"MLFLOW_TRACKING_URI": tracking_uri()}
