"""The accesshttp process: front door, monitor port, control app.

`worker_num` is the number of threads that serve the door: they share one port and need no listener process.
"""

import asyncio
import contextlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from viabtc import __version__, _core
from viabtc.accesshttp.settings import AccesshttpSettings, read_accesshttp
from viabtc.service import logs
from viabtc.service.run import StartFailure, listen, run, serving, until_stopped


def open_door(settings: AccesshttpSettings) -> _core.FrontDoor:
    """Opens the port.

    Raises:
        StartFailure: it cannot be opened.
    """
    try:
        return _core.FrontDoor(
            list(settings.bind),
            remotes={name: asdict(remote) for name, remote in settings.remotes.items()},
            max_pkg_size=settings.max_pkg_size,
            buf_limit=settings.buf_limit,
            keep_alive_s=settings.keep_alive_s,
            timeout_s=settings.timeout_s,
            threads=settings.worker_num,
            shared=True,
        )
    except _core.StartError as error:
        raise StartFailure(*error.args) from error
    except _core.ConfigError as error:
        key, what, right = error.args
        raise StartFailure(f"{key} {what}", f"right would be: {right}") from error


async def open_monitor(host: str, port: int) -> asyncio.Server:
    """A port that accepts and discards, for probes."""

    async def discard(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while await reader.read(1024):
                pass
        writer.close()

    try:
        return await asyncio.start_server(discard, host, port)
    except OSError as error:
        raise StartFailure(
            f"cannot listen on {host}:{port} for the monitor: {error.strerror}",
            "stop the process that listens there, or change monitor.bind",
        ) from error


def main(path: Path) -> int:
    """Runs the service from a configuration file; the exit code.

    Raises:
        SettingsError, StartFailure: it cannot start.
    """
    settings, findings = read_accesshttp(path)
    try:
        log = logs.set_up("accesshttp", settings.log_path)
    except OSError as error:
        raise StartFailure(
            f"cannot write the log {settings.log_path}.log: {error.strerror}",
            "make its directory, or change log.path",
        ) from error
    for finding in (*findings.unknown, *findings.idle):
        log.warning("configuration", key=finding.key, what=finding.what, right=finding.right)

    async def serve() -> int:
        control = listen(*settings.control, "the control app")
        with control:
            door = open_door(settings)
            try:
                monitor = await open_monitor(*settings.monitor) if settings.monitor else None
                from viabtc.service.control import build_control

                app = build_control(
                    "accesshttp",
                    is_ready=lambda: all(door.links().values()),
                    status=lambda: status_of(door),
                    figures=lambda: {"door": door.metrics()},
                )
                async with serving(app, control):
                    log.info("server start", http=door.addresses)
                    print("server start", flush=True)
                    code = await until_stopped(lambda: True)
                if monitor is not None:
                    monitor.close()
            finally:
                await asyncio.to_thread(door.stop)
        log.info("server stop", exit_code=code)
        return code

    return run(serve)


def status_of(door: _core.FrontDoor) -> dict[str, Any]:
    """What an operator wants to see first."""
    return {"version": __version__, "http": door.addresses, "links": door.links()}
