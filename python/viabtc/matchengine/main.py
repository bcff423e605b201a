"""The matchengine process: engine, RPC port, console, snapshots, control app."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from viabtc import __version__, _core
from viabtc.matchengine.console import Console, serve_console
from viabtc.matchengine.settings import MatchengineSettings, read_matchengine
from viabtc.matchengine.snapshots import Snapshots
from viabtc.service import logs
from viabtc.service.run import StartFailure, listen, run, serving, until_stopped


@dataclass(frozen=True, slots=True)
class Ports:
    """What the process serves with."""

    engine: _core.Engine
    rpc: _core.RpcServer
    snapshots: Snapshots
    console: tuple[str, int] | None


def start_engine(settings: MatchengineSettings) -> _core.Engine:
    """Recovers and starts the engine.

    Raises:
        StartFailure: it cannot start.
    """
    try:
        return _core.Engine(
            settings.engine,
            str(settings.data),
            durability=settings.durability,
            segment_bytes=settings.segment_bytes,
            build=f"viabtc {__version__}",
        )
    except _core.StartError as error:
        raise StartFailure(*error.args) from error
    except _core.ConfigError as error:
        key, what, right = error.args
        raise StartFailure(f"{key} {what}", f"right would be: {right}") from error


@contextlib.asynccontextmanager
async def open_ports(settings: MatchengineSettings, log: Any) -> AsyncIterator[Ports]:
    """Opens everything but the control app; closing answers what was taken and seals the journal.

    Raises:
        StartFailure: something cannot be opened.
    """
    async with contextlib.AsyncExitStack() as stack:
        engine = await asyncio.to_thread(start_engine, settings)
        stack.callback(engine.stop)
        try:
            rpc = _core.RpcServer(
                engine,
                list(settings.rpc.bind),
                max_pkg_size=settings.rpc.max_pkg_size,
                buf_limit=settings.rpc.buf_limit,
                heartbeat_check=settings.rpc.heartbeat_check,
                threads=settings.threads,
            )
        except _core.StartError as error:
            raise StartFailure(*error.args) from error
        except _core.ConfigError as error:
            raise StartFailure(f"svr.bind: {error.args[1]}", error.args[2]) from error
        stack.callback(rpc.stop)
        snapshots = Snapshots(
            engine, settings.data, settings.snapshot_interval_s, settings.snapshot_commands, log
        )
        task = asyncio.create_task(snapshots.run())
        stack.push_async_callback(_cancel, task)
        console = None
        if settings.console is not None:
            host, port = settings.console
            talker = Console(engine, snapshots.ask)
            try:
                server = await serve_console(talker, host, port)
            except OSError as error:
                raise StartFailure(
                    f"cannot listen on {host}:{port} for the console: {error.strerror}",
                    "stop the process that listens there, or change cli",
                ) from error
            stack.callback(server.close)
            console = server.sockets[0].getsockname()[:2]
        yield Ports(engine, rpc, snapshots, console)


async def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def status_of(ports: Ports) -> dict[str, Any]:
    """What an operator wants to see first."""
    return {
        "version": __version__,
        "rpc": ports.rpc.addresses,
        "console": ports.console,
        "recovery": ports.engine.recovery,
        "snapshot_sequence": ports.snapshots.last_sequence,
        **ports.engine.status(),
    }


def main(path: Path) -> int:
    """Runs the service from a configuration file; the exit code.

    Raises:
        SettingsError, StartFailure: it cannot start.
    """
    settings, findings = read_matchengine(path)
    try:
        log = logs.set_up("matchengine", settings.log_path)
    except OSError as error:
        raise StartFailure(
            f"cannot write the log {settings.log_path}.log: {error.strerror}",
            "make its directory, or change log.path",
        ) from error
    for finding in (*findings.unknown, *findings.idle):
        log.warning("configuration", key=finding.key, what=finding.what, right=finding.right)
    if settings.durability == "async":
        log.warning("writes are acknowledged before they are on the disk", durability="async")

    async def serve() -> int:
        control = listen(*settings.control, "the control app")
        with control:
            async with open_ports(settings, log) as ports:
                from viabtc.service.control import build_control

                app = build_control(
                    "matchengine",
                    is_ready=ports.engine.is_alive,
                    status=lambda: status_of(ports),
                    figures=lambda: {"engine": ports.engine.metrics(), "rpc": ports.rpc.metrics()},
                    audit=ports.engine.audit,
                )
                async with serving(app, control):
                    log.info("server start", rpc=ports.rpc.addresses, **ports.engine.recovery)
                    print("server start", flush=True)
                    code = await until_stopped(ports.engine.is_alive)
        log.info("server stop", exit_code=code)
        return code

    return run(serve)
