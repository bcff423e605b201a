"""A private Redis: on a free port, in a folder of its own, stopped by its own id."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from harness.processes import Reserved

DEADLINE_S: Final = 10.0


def free_port() -> int:
    """A port that nobody listens on, for a server that cannot share it with its keeper."""
    reserved = Reserved()
    reserved.close()
    return reserved.port


@contextlib.contextmanager
def redis_server(directory: Path, *options: str, port: int = 0) -> Iterator[int]:
    """Runs a server while the block runs; gives its port."""
    port = port or free_port()
    directory.mkdir(parents=True, exist_ok=True)
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory)]
    with (directory / "redis.out").open("ab") as output:
        process = subprocess.Popen([*command, "--save", "", *options], stdout=output, stderr=output)
    try:
        until_listening(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(DEADLINE_S)


def until_listening(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Waits until somebody listens on a port of this machine."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
            raise AssertionError("the server ended at its start")
    raise AssertionError(f"nobody listens on {port}")
