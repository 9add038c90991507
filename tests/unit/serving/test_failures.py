from __future__ import annotations

import socket

import pytest

from rayformers.errors import ResourceError
from rayformers.serving.failures import reason_of
from rayformers.serving.ports import require_free_port

TRACEBACK = """The deployment failed to start 3 times in a row. This may be due to a problem with its constructor:
\x1b[36mray::ServeReplica:m:digits.initialize_and_get_metadata()\x1b[39m (pid=1)
  File "replica.py", line 1, in load
    pipe = pipeline(task)
rayformers.errors.NotFoundError: No model 'digits'.
Register one first.

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
RuntimeError: Traceback (most recent call last):
  File "x.py", line 3
"""


def test_the_reason_is_the_errors_own_words() -> None:
    assert reason_of(["", TRACEBACK]) == "No model 'digits'. Register one first."


def test_without_a_traceback_the_message_is_the_reason() -> None:
    assert reason_of(["Could not schedule the replica."]) == "Could not schedule the replica."
    assert "no reason" in reason_of([])


def test_a_wrapper_is_better_than_nothing() -> None:
    assert reason_of(["Traceback\nRuntimeError: it broke"]) == "it broke"


def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ResourceError, match=f"127.0.0.1:{port}"):
            require_free_port("127.0.0.1", port)
    require_free_port("127.0.0.1", port)


@pytest.mark.parametrize(("host", "port"), [("no.such.host.invalid", 80), ("127.0.0.1", 70_000), ("203.0.113.7", 8000)])
def test_impossible_addresses(host: str, port: int) -> None:
    with pytest.raises(ResourceError, match="Cannot listen"):
        require_free_port(host, port)
