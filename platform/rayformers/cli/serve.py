"""`rayformers serve`: one endpoint in the foreground."""

from __future__ import annotations

from typing import Annotated

import typer


def serve(
    model: Annotated[str, typer.Argument(help="A folder, a Hub id, or models:/name@alias.")],
    task: Annotated[str | None, typer.Option(help="The task; without it, it is inferred from the model.")] = None,
    host: Annotated[str, typer.Option(help="Where to listen; 0.0.0.0 opens it to the network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="TCP port.")] = 8000,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:0, ...")] = None,
) -> None:
    """Serve a model over HTTP until Ctrl-C.

    Example: rayformers serve models:/digits@champion --port 8000
    """
    from ..serving import serve as serve_model

    def announce(url: str) -> None:
        print(f"Serving {model} at {url} (Ctrl-C stops it)", flush=True)

    serve_model(model, task, host, port, on_ready=announce, device=device)
