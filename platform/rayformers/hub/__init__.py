"""Where files come from: local folders, the Hub, fsspec stores and the model registry. No models here."""

from .resolve import SCHEMES, read_json, resolve

__all__ = ["SCHEMES", "read_json", "resolve"]
