"""The servers that are measured: ours, started here, and any other that runs already."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Final

from viabtc.embedded.settings import DEFAULTS

ROOT: Final = Path(__file__).resolve().parent.parent
START_S: Final = 60.0
"""How long a server may take to listen."""
STOP_S: Final = 30.0
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


class Kind(Enum):
    """What of ours is started."""

    ENGINE = "viabtc matchengine"
    """The engine and its RPC port; no projections."""
    RUN = "viabtc run"
    """The whole exchange, with history and candles in SQLite."""
    REST = "viabtc rest"
    """The engine, and one process of the REST API that lets users place as fast as they can."""
    HUB = "websocket_hub"
    """The websocket hub alone."""
    FLOOD = "websocket_hub HOST:PORT 500"
    """The same, telling messages of 500 bytes as fast as they are read."""


@dataclass
class Server:
    """One that is measured."""

    name: str
    rpc: str | None
    http: str | None
    websocket: str | None = None
    pid: int | None = None
    rest: str | None = None
    tokens: Path | None = None
    """Tokens of the REST API."""

    def cpu_s(self) -> float | None:
        """Processor time that it has used, when it is ours."""
        if self.pid is None:
            return None
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def output_of(arguments: list[str], environment: dict[str, str] | None = None) -> str:
    """What a program prints; it must succeed."""
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"{' '.join(arguments)} failed ({done.returncode}):\n{done.stdout}{done.stderr}"
        raise SystemExit(message)
    return done.stdout


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses just now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def our_server(kind: Kind, config: Path | None) -> Iterator[Server]:
    """Ours on free ports, with a data directory of its own that goes when it stops."""
    if kind in (Kind.HUB, Kind.FLOOD):
        place = f"127.0.0.1:{free_ports(1)[0]}"
        with hub_process(place, *(["500"] if kind is Kind.FLOOD else [])) as process_id:
            yield Server("viabtc", None, None, place, process_id)
        return
    if kind is Kind.REST:
        with rest_server(config) as server:
            yield server
        return
    directory = Path(tempfile.mkdtemp(prefix="viabtc-bench-"))
    http, rest, rpc, console, websocket = free_ports(5)
    if kind is Kind.RUN:
        arguments = ["run", "--data", str(directory / "data")]
        places = {"http": http, "rest": rest, "rpc": rpc, "console": console, "ws": websocket}
        for name, port in places.items():
            arguments += [f"--{name}", f"127.0.0.1:{port}"]
        if config is not None:
            arguments += ["--config", str(config)]
    else:
        file = directory / "matchengine.json"
        given = DEFAULTS if config is None else json.loads(config.read_text())
        svr = {"bind": f"tcp@127.0.0.1:{rpc}", "max_pkg_size": 10_240, "heartbeat_check": False}
        own = {"data": str(directory / "data"), "control": f"127.0.0.1:{rest}"}
        cli = f"tcp@127.0.0.1:{console}"
        ours = {"svr": svr, "cli": cli, "viabtc": own, **shared_sections(directory, "matchengine")}
        file.write_text(json.dumps({**given, **ours}))
        arguments = ["matchengine", str(file)]
    is_run = kind is Kind.RUN
    try:
        with process_of(arguments, http if is_run else rpc, directory / "output") as process_id:
            server = Server("viabtc", f"127.0.0.1:{rpc}", None, None, process_id)
            if is_run:
                server.http, server.websocket = f"127.0.0.1:{http}", f"127.0.0.1:{websocket}"
                server.tokens = directory / "data" / "tokens"
            yield server
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def rest_server(config: Path | None) -> Iterator[Server]:
    """The REST API of one process before an engine; processor time is that of the API."""
    with our_server(Kind.ENGINE, config) as engine, tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        port, control, nobody = free_ports(3)
        links = {
            service: {"name": service, "addr": f"tcp@{address}", "max_pkg_size": 2_000_000}
            for service, address in (
                ("matchengine", engine.rpc),
                ("marketprice", f"127.0.0.1:{nobody}"),
                ("readhistory", f"127.0.0.1:{nobody}"),
            )
        }
        settings = {
            "svr": {"bind": f"127.0.0.1:{port}"},
            "limits": {"orders_per_s": 0},
            "viabtc": {"control": f"127.0.0.1:{control}"},
        }
        file = directory / "rest.json"
        file.write_text(json.dumps({**settings, **links, **shared_sections(directory, "rest")}))
        with process_of(["rest", str(file)], port, directory / "output") as process_id:
            yield replace(
                engine, pid=process_id, rest=f"127.0.0.1:{port}", tokens=directory / "tokens"
            )


def shared_sections(directory: Path, name: str) -> dict[str, dict[str, str]]:
    """What the file of every service says; nobody listens for its alerts."""
    log = {"path": str(directory / name), "flag": "fatal,error,warn,info"}
    return {"log": log, "alert": {"host": "bench", "addr": f"127.0.0.1:{free_ports(1)[0]}"}}


@contextlib.contextmanager
def process_of(arguments: list[str], port: int, log_file: Path) -> Iterator[int]:
    """A command of ours that listens on `port`; its process id."""
    with log_file.open("w") as output:
        command = [str(ROOT / ".venv" / "bin" / "viabtc"), *arguments]
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        wait_for_port(port, process, log_file)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def hub_process(place: str, *options: str) -> Iterator[int]:
    """The hub alone on a port that others may share; its process id."""
    program = ROOT / "target" / "release" / "examples" / "websocket_hub"
    process = subprocess.Popen([program, place, *options], stdout=subprocess.PIPE)
    try:
        # It says its address once it listens.
        if process.stdout is None or not process.stdout.readline():
            message = f"{program} does not listen on {place}"
            raise SystemExit(message)
        yield process.pid
    finally:
        process.kill()
        process.wait()


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until somebody listens there."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    message = f"the server does not serve:\n{log.read_text()}"
    raise SystemExit(message)
