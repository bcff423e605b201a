"""The lifecycle of a process, once: settings, log, resources, control app, stop.

Data ports serve before the control app is imported; stopping goes the other way round.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, Protocol, TypeVar

from viabtc.edges import systemd
from viabtc.service import logs
from viabtc.service.auditlog import open_audit_log
from viabtc.service.failure import EXIT_FAULT, EXIT_OK, StartFailure
from viabtc.service.requests import RequestLog
from viabtc.service.sections import Common, raise_limits
from viabtc.service.settings import Findings

if TYPE_CHECKING:
    from fastapi import FastAPI
    from prometheus_client.registry import Collector

STOP_SIGNALS: Final = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGQUIT})

NOTED_SIGNALS: Final = (signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR1)
"""Signals of the original's operators that end nothing."""

_LOOK_S: Final = 0.2
"""Pause between looks at whether the work goes on."""

BEAT_S: Final = 1.0
"""Within this the part that does the work answers, or the watchdog is not fed."""

_CANCEL_S: Final = 3.0
"""A task that has not ended by then is told again: long enough for what it has to put in order."""

_NEW_OBJECTS: Final = 5_000
"""Objects that are made and not freed between two collections: few enough that what requests leave
in cycles, bodies of 64 KiB with them, takes some megabytes at most."""

_GRACE_S: Final = 2
"""Requests to the control app may take this long when the process stops."""

Figures = Mapping[str, float]


class Port(Protocol):
    """Threads of the compiled module that serve."""

    def beats(self, within_s: float) -> bool:
        """Whether every thread goes round within `within_s` seconds."""


class Part:
    """What a process is made of while it runs; services override what they have."""

    tasks: "Sequence[asyncio.Task[None]]" = ()
    """What runs beside the ports for as long as the process does."""

    def is_alive(self) -> bool:
        """Whether the work goes on; False ends the process."""
        return not any(task.done() for task in self.tasks)

    def is_ready(self) -> bool:
        """Whether traffic may come: serving, and caught up."""
        return True

    def is_started(self) -> bool:
        """Whether the service manager may go on: ready, or serving as well as it can by itself."""
        return self.is_ready()

    def ports(self) -> Sequence[Port]:
        """Whose threads the watchdog asks."""
        return ()

    async def beat(self) -> None:
        """Returns once the part that does the work has answered.

        Raises:
            TimeoutError: a thread of a port does not go round.
        """
        for port in self.ports():
            if not await asyncio.to_thread(port.beats, BEAT_S):
                raise TimeoutError

    def status(self) -> dict[str, Any]:
        """What an operator wants to see first."""
        return {}

    def figures(self) -> Mapping[str, Figures]:
        """Metrics by part of the service, such as `engine` or `rpc`."""
        return {}

    def collectors(self) -> "Sequence[Collector]":
        """Metrics with labels, beside the figures."""
        return ()

    def extend(self, app: "FastAPI") -> None:
        """Adds routes of its own to the control app."""


class HasCommon(Protocol):
    """Settings of a service."""

    @property
    def common(self) -> Common:
        """What all services share."""


S = TypeVar("S", bound=HasCommon)


@dataclass(frozen=True, slots=True)
class Service(Generic[S]):
    """A service: how its file is read, and what it opens."""

    name: str
    read: Callable[[Path], tuple[S, Findings]]
    open: Callable[[S, Any], AbstractAsyncContextManager[Part]]
    """Opens everything but the control app; gets the settings and the log."""


def main(service: Service[S], path: Path, *, has_terminal: bool = True) -> int:
    """Runs a service from its configuration file; the exit code.

    Without a terminal an interrupt, which a terminal sends to all that it started, is no stop.

    Raises:
        SettingsError, StartFailure: it cannot start.
    """
    for number in NOTED_SIGNALS:
        # Until they are heeded; what they do by themselves would stop or end us.
        signal.signal(number, signal.SIG_IGN)
    settings, findings = service.read(path)
    common = settings.common
    raise_limits(common)
    written = logs.set_up(service.name, common.log, common.alert)
    written.trace_crashes()
    log = written.log
    audit = open_audit_log(common.audit_log, log)
    for finding in findings.warnings():
        log.warning("configuration", key=finding.key, what=finding.what, right=finding.right)

    async def serve() -> int:
        heed_signals(written)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(cancel, asyncio.create_task(RequestLog(written).run()))
            control = None
            if common.control is not None:
                control = stack.enter_context(listen(*common.control, "the control app"))
            part = await stack.enter_async_context(service.open(settings, log))
            if control is not None:
                from viabtc.service.control import build_control

                await stack.enter_async_context(
                    serving(build_control(service.name, part, written, audit), control)
                )
            stop_signals = STOP_SIGNALS if has_terminal else STOP_SIGNALS - {signal.SIGINT}

            def begun() -> None:
                log.info("server start", vip=True, **part.status())
                # The original's line for its operator.
                print("server start", file=sys.stderr, flush=True)  # noqa: T201

            settle()
            code = await until_stopped(part, begun, stop_signals)
            if code != EXIT_OK:
                ends = [task for task in part.tasks if task.done() and not task.cancelled()]
                reasons = [repr(task.exception()) for task in ends]
                log.critical("the work ended by itself", reasons=reasons)
        log.info("server stop", vip=True, exit_code=code)
        return code

    return run(serve)


def settle() -> None:
    """Keeps the collector of cycles off what a start has made, which stays as long as the process.

    To walk over all of that again and again costs a fifth of a request of the API.
    """
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 20, 20)


def leave(code: int) -> NoReturn:
    """Ends the process of a service that has stopped: everything is closed, sealed and written.

    Taking the interpreter apart would cost 0.15 s of processor more, for which services that stop
    together wait in a row.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def listen(host: str, port: int, what: str, *, is_shared: bool = False) -> socket.socket:
    """A listening socket; when it is shared, other processes may listen on the same port.

    Raises:
        StartFailure: the address cannot be used.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if is_shared:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
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

    from viabtc.service.heads import BoundedHeads

    class Server(uvicorn.Server):
        """Leaves signals to us."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    config = uvicorn.Config(
        app,
        http=BoundedHeads,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=_GRACE_S,
    )
    server = Server(config)
    task = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        yield
    finally:
        server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await task


def heed_signals(written: logs.Logs) -> None:
    """Signals of the original's operators: SIGTTIN and SIGTTOU change levels, SIGUSR1 is noted."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTTIN, written.more)
    loop.add_signal_handler(signal.SIGTTOU, written.less)
    note = partial(written.log.info, "signal", name="SIGUSR1", vip=True)
    loop.add_signal_handler(signal.SIGUSR1, note)


async def until_stopped(
    part: Part,
    begun: Callable[[], None],
    stop_signals: frozenset[signal.Signals] = STOP_SIGNALS,
) -> int:
    """Waits for a stop signal, or for the end of the work; the exit code.

    The service manager hears that we are ready once `part` is, and is fed as long as `part` beats.

    Args:
        part: What serves.
        begun: Says so to people, who may then stop it: a signal before would end it unsealed.
        stop_signals: Those that stop it.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in stop_signals:
        loop.add_signal_handler(number, stop.set)
    begun()
    interval = systemd.watchdog_interval_s()
    fed = loop.time()
    is_announced = False
    code = EXIT_OK
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _LOOK_S)
        if not part.is_alive():
            code = EXIT_FAULT
            break
        if not is_announced and part.is_started():
            is_announced = True
            systemd.notify(systemd.READY)
        if interval is not None and loop.time() - fed >= interval:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(part.beat(), BEAT_S)
                systemd.notify(systemd.WATCHDOG)
                fed = loop.time()
    systemd.notify(systemd.STOPPING)
    return code


def start_tasks(
    stack: contextlib.AsyncExitStack, *works: Coroutine[Any, Any, None]
) -> "list[asyncio.Task[None]]":
    """Starts what runs until `stack` closes; a part that has them in `tasks` ends with them."""
    tasks = [asyncio.create_task(work) for work in works]
    for task in tasks:
        stack.push_async_callback(cancel, task)
    return tasks


async def cancel(task: "asyncio.Task[None]") -> None:
    """Ends a task and waits for it."""
    while not task.done():
        # Said again: `asyncio.wait_for` of Python 3.11 loses it when its work ends at that moment.
        task.cancel()
        await asyncio.wait([task], timeout=_CANCEL_S)
    if not task.cancelled():
        task.result()


def run(serve: Callable[[], Any]) -> int:
    """Runs a coroutine on the fastest event loop that is installed; its result is the exit code."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code: int = runner.run(serve())
    return code
