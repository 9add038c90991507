"""Ports, looked at before anything starts."""

from __future__ import annotations

import socket

from ..errors import ResourceError


def require_free_port(host: str, port: int) -> None:
    """Check that a server can listen at `host`:`port`.

    Raises:
        ResourceError: another process listens there, the port is reserved, or the host is not this machine's.
    """
    if not 0 <= port <= 65535:
        raise ResourceError(f"Cannot listen at port {port}: ports go from 1 to 65535.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError) as error:
        raise ResourceError(
            f"Cannot listen at {host}:{port}: {error}. Give a host of this machine and a port."
        ) from error
    with socket.socket(family, kind, protocol) as probe:
        # As servers do: a port whose last connections are still closing is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise ResourceError(
                f"Cannot listen at {host}:{port}: {error.strerror}. Choose another port, or stop what listens there."
            ) from error
