"""`viabtc run`: engine, front door, RPC port, console and control app in one process."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from viabtc import __version__, _core
from viabtc.embedded.settings import RunSettings
from viabtc.matchengine.main import Ports, open_ports, status_of
from viabtc.matchengine.settings import MatchengineSettings, RpcSettings
from viabtc.service import logs
from viabtc.service.run import StartFailure, listen, run, serving, until_stopped

if TYPE_CHECKING:
    from fastapi import FastAPI

DEPOSIT = {
    "method": "balance.update",
    "params": [1, "USDT", "deposit", 1, "1000", {}],
    "id": 1,
}
"""The first request that the banner shows."""


def main(settings: RunSettings) -> int:
    """Runs the exchange; the exit code.

    Raises:
        StartFailure: it cannot start.
    """
    log = logs.set_up("run")

    async def serve() -> int:
        rest = listen(*settings.rest, "REST and control")
        with rest:
            async with (
                open_ports(_engine_side(settings), log) as ports,
                _door(settings, ports) as door,
            ):
                print(_banner(settings, ports, door), flush=True)
                from viabtc.embedded.pages import build_app

                app: FastAPI = build_app(
                    addresses=_addresses(settings, ports, door),
                    is_ready=ports.engine.is_alive,
                    status=lambda: {**status_of(ports), "http": door.addresses},
                    figures=lambda: {
                        "engine": ports.engine.metrics(),
                        "rpc": ports.rpc.metrics(),
                        "door": door.metrics(),
                    },
                    audit=ports.engine.audit,
                )
                async with serving(app, rest):
                    code = await until_stopped(ports.engine.is_alive)
                print(
                    "\nStopping: answering what was accepted, sealing the journal ...", flush=True
                )
        print("Stopped." if code == 0 else "Stopped: the engine ended by itself.", flush=True)
        return code

    return run(serve)


def _engine_side(settings: RunSettings) -> MatchengineSettings:
    host, port = settings.rpc
    return MatchengineSettings(
        engine=settings.engine,
        rpc=RpcSettings((f"tcp@{host}:{port}",), settings.max_pkg_size, 0, False),
        console=settings.console,
        log_path=None,
        data=settings.data,
        durability=settings.durability,
        segment_bytes=settings.segment_bytes,
        snapshot_interval_s=settings.snapshot_interval_s,
        snapshot_commands=settings.snapshot_commands,
        control=settings.rest,
        threads=1,
    )


@contextlib.asynccontextmanager
async def _door(settings: RunSettings, ports: Ports) -> AsyncIterator[_core.FrontDoor]:
    host, port = settings.http
    try:
        door = _core.FrontDoor([f"tcp@{host}:{port}"], engine=ports.engine)
    except _core.StartError as error:
        raise StartFailure(*error.args) from error
    try:
        yield door
    finally:
        await asyncio.to_thread(door.stop)


def _addresses(settings: RunSettings, ports: Ports, door: _core.FrontDoor) -> dict[str, str]:
    host, port = settings.rest
    console_host, console_port = ports.console or ("", 0)
    return {
        "JSON-RPC over HTTP": f"http://{_place(door.addresses[0])}/",
        "REST and control": f"http://{host}:{port}/",
        "binary RPC": ports.rpc.addresses[0],
        "console": f"{console_host}:{console_port}",
    }


def _place(address: str) -> str:
    return address.partition("@")[2]


def _banner(settings: RunSettings, ports: Ports, door: _core.FrontDoor) -> str:
    recovery: dict[str, Any] = ports.engine.recovery
    lines = [f"viabtc {__version__} serves.", ""]
    for name, address in _addresses(settings, ports, door).items():
        lines.append(f"  {name:<20} {address}")
    lines.append(f"  {'markets':<20} {' '.join(settings.markets)}")
    lines.append(f"  {'data':<20} {settings.data.resolve()}")
    lines.append("")
    if recovery["sequence"]:
        how = "" if recovery["was_clean"] else " after an unclean stop"
        lines.append(
            f"Continues at command {recovery['sequence']}{how}: {recovery['replayed']} replayed"
            f" in {recovery['seconds']:.2f} s, audited."
        )
        lines.extend(f"  {note}" for note in recovery["notes"])
        lines.append("")
    if settings.left_aside:
        lines.append(f"Left aside from the file: {', '.join(settings.left_aside)}")
        lines.append("")
    lines.append("A first request:")
    lines.append(f"  curl http://{_place(door.addresses[0])}/ -d '{json.dumps(DEPOSIT)}'")
    lines.append("Ctrl-C stops; the next start continues here.")
    return "\n".join(lines)


def default_data() -> Path:
    """Where `viabtc run` keeps its data unless told otherwise."""
    return Path("viabtc-data")
