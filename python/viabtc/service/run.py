"""The lifecycle of a process, once: stop on a signal or when the heart stops, serve apps meanwhile."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from fastapi import FastAPI

EXIT_OK: Final = 0
EXIT_FAULT: Final = 1
EXIT_CONFIGURATION: Final = 2

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)

_HEARTBEAT_S: Final = 0.2
"""Pause between looks at whether the engine is alive."""


class StartFailure(Exception):  # noqa: N818
    """The process cannot start: what is wrong, and what to do about it."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}. What to do: {remedy}.")
        self.problem = problem
        self.remedy = remedy


def listen(host: str, port: int, what: str) -> socket.socket:
    """A listening socket.

    Raises:
        StartFailure: the address cannot be used.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(1024)
    except OSError as error:
        sock.close()
        raise StartFailure(
            f"cannot listen on {host}:{port} for {what}: {error.strerror}",
            "stop the process that listens there, or choose another address",
        ) from error
    return sock


@contextlib.asynccontextmanager
async def serving(app: "FastAPI", sock: socket.socket) -> AsyncIterator[None]:
    """Serves `app` on `sock` in this event loop while the block runs."""
    import uvicorn

    class Server(uvicorn.Server):
        """Leaves signals to us."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")
    server = Server(config)
    task = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        yield
    finally:
        server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until_stopped(is_alive: Callable[[], bool]) -> int:
    """Waits for a stop signal, or for the engine's end; the exit code."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _HEARTBEAT_S)
        if not is_alive():
            return EXIT_FAULT
    return EXIT_OK


def run(main: Callable[[], Any]) -> int:
    """Runs a coroutine on the fastest event loop that is installed; its result is the exit code."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code: int = runner.run(main())
    return code
