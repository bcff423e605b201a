"""Real processes of ours: on free ports, awaited with a deadline, stopped by their own id."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from viabtc.contract.methods import OWNERS

VIABTC: Final = (sys.executable, "-m", "viabtc")

START_DEADLINE_S: Final = 120.0
STOP_DEADLINE_S: Final = 15.0

_LOOK_S: Final = 0.01
"""Pause between looks; the wait ends at once when the process does."""

Place = tuple[str, int]

_started: list["subprocess.Popen[bytes]"] = []
"""Every process of ours, in the order of the starts."""


class Running(Protocol):
    """A process that was started, as `subprocess.Popen` handles it."""

    pid: int
    returncode: Any
    """The exit code, once somebody has waited for the end."""

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, after the end.

        Raises:
            subprocess.TimeoutExpired: it still runs after `timeout` seconds.
        """

    def send_signal(self, number: int, /) -> None:
        """Sends a signal; nothing when the end was waited for."""

    def terminate(self) -> None:
        """Asks it to stop."""

    def kill(self) -> None:
        """Ends it at once."""


Spawn = Callable[[Sequence[str], Path], Running]
"""Starts a command of ours, with everything it says in a file."""


class Reserved:
    """A port that nobody else is given while this is open.

    The socket is bound and does not listen, and both sides allow reuse: our process can take the
    port, and the system hands it to no other.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    def close(self) -> None:
        self._socket.close()


@dataclass
class Server:
    """A running process with a control app."""

    process: Running
    control: str
    """Base address of the control app."""
    output: Path
    """Standard output and standard error."""
    reserved: dict[str, Reserved] = field(default_factory=dict)
    """Ports that were chosen before the start, by name."""

    @property
    def pid(self) -> int:
        return self.process.pid

    def get(self, path: str, method: str = "GET") -> tuple[int, Any]:
        """Status and JSON document of a path of the control app.

        Raises:
            OSError: nobody answers.
        """
        url = urlsplit(self.control + path)
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=10)
        try:
            connection.request(method, url.path)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def text(self, path: str) -> str:
        """The text behind a path of the control app."""
        url = urlsplit(self.control + path)
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=10)
        try:
            connection.request("GET", url.path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def metric(self, name: str) -> float:
        """A figure by its name."""
        for line in self.text("/metrics").splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[1])
        raise AssertionError(f"no metric {name}")

    def status(self) -> dict[str, Any]:
        """What the service says about itself."""
        code, document = self.get("/status")
        assert code == 200, document
        assert isinstance(document, dict)
        return document

    def place(self, name: str) -> Place:
        """Where the port called `name` in the status listens."""
        value = self.status()[name]
        if isinstance(value[0], str) and "@" in value[0]:
            return split(value[0])
        host, port = value
        return host, port

    def until_open(self, name: str) -> Place:
        """Waits until a port chosen before the start accepts connections; where it is."""
        place = ("127.0.0.1", self.reserved[name].port)

        def is_open() -> bool:
            socket.create_connection(place, 1).close()
            return True

        self.until(is_open)
        return place

    def until_ready(self) -> None:
        """Waits until the service says that traffic may come."""
        self.until(lambda: self.get("/health/ready")[0] == 200)

    def until(self, is_so: Callable[[], bool], deadline_s: float = START_DEADLINE_S) -> None:
        """Waits for a condition; a service that does not answer yet does not fulfil it."""
        deadline = time.monotonic() + deadline_s
        while True:
            if not self.is_running(_LOOK_S):
                self._release()
                raise AssertionError(f"the process ended: {self.said()}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                if is_so():
                    return
            if time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"did not come true in {deadline_s} s: {self.said()}")

    def is_running(self, within_s: float = 0.0) -> bool:
        """Whether the process still runs after a time; returns at once when it ends."""
        try:
            self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            return True
        return False

    def said(self) -> str:
        """What the process has written."""
        return self.output.read_text(errors="replace")

    def stop(self) -> int:
        """Stops it as an operator does; the exit code."""
        self.process.terminate()
        try:
            return self.process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"did not stop in {STOP_DEADLINE_S} s: {self.said()}") from None
        finally:
            self._release()

    def kill(self) -> None:
        """Ends it as a power cut does."""
        self.process.kill()
        self.process.wait()
        self._release()

    def _release(self) -> None:
        for reserved in self.reserved.values():
            reserved.close()


def split(address: str) -> Place:
    """Host and port of `tcp@HOST:PORT`."""
    host, _, port = address.rpartition("@")[2].rpartition(":")
    return host, int(port)


def spawn(
    arguments: Sequence[str], output: Path, environment: Mapping[str, str] | None = None
) -> Running:
    """Starts a command of ours as everybody does, with everything it says in a file.

    Args:
        arguments: Of the command.
        output: The file.
        environment: Variables beside those of the test.
    """
    with output.open("ab") as file:
        process = subprocess.Popen(
            [*VIABTC, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env={**os.environ, **(environment or {})},
        )
    _started.append(process)
    return process


def end_leftovers() -> None:
    """Ends what tests that failed did not stop."""
    for process in _started:
        if process.poll() is None:
            process.kill()
            process.wait()


def start(
    arguments: Sequence[str], output: Path, control: str, reserved: dict[str, Reserved]
) -> Server:
    """Starts a command of ours and waits until it is ready."""
    server = Server(spawn(arguments, output), control, output, reserved)
    server.until_ready()
    return server


def spawn_exchange(directory: Path, config: dict[str, Any] | None = None) -> Server:
    """`viabtc run` with its data in `directory`, just begun; without `config` its demonstration."""
    rest = Reserved()
    arguments = ["run", "--data", str(directory / "data"), "--rest", rest.place]
    for port in ("http", "ws", "rpc", "console"):
        arguments += [f"--{port}", "127.0.0.1:0"]
    if config is not None:
        path = directory / "run.json"
        path.write_text(json.dumps(config))
        arguments += ["--config", str(path)]
    output = directory / "run.out"
    return Server(
        spawn(arguments, output), f"http://{rest.place}/control", output, {"control": rest}
    )


def start_exchange(directory: Path, config: dict[str, Any] | None = None) -> Server:
    """`viabtc run`, ready."""
    server = spawn_exchange(directory, config)
    server.until_ready()
    return server


def spawn_matchengine(
    directory: Path,
    config: dict[str, Any],
    own: dict[str, Any] | None = None,
    bind: list[str] | None = None,
    begin: Spawn = spawn,
) -> Server:
    """`viabtc matchengine` from `config`, with places, log and data of its own, just begun.

    Args:
        bind: Addresses of the RPC port, when one on TCP is not enough.
        own: Keys of the section `viabtc` beside those.
        begin: How the process is started.
    """
    control, rpc, console = Reserved(), Reserved(), Reserved()
    path = directory / "matchengine.json"
    settings = {
        **config,
        "log": {"path": str(directory / "matchengine"), "flag": "fatal,error,warn,info"},
        "svr": {**config["svr"], "bind": bind or f"tcp@{rpc.place}"},
        "cli": f"tcp@{console.place}",
        "viabtc": {"data": str(directory / "data"), "control": control.place, **(own or {})},
    }
    path.write_text(json.dumps(settings))
    output = directory / "matchengine.out"
    process = begin(["matchengine", str(path)], output)
    reserved = {"control": control, "rpc": rpc, "console": console}
    return Server(process, f"http://{control.place}", output, reserved)


def start_matchengine(
    directory: Path,
    config: dict[str, Any],
    own: dict[str, Any] | None = None,
    bind: list[str] | None = None,
) -> Server:
    """`viabtc matchengine`, ready; the arguments are those of `spawn_matchengine`."""
    server = spawn_matchengine(directory, config, own, bind)
    server.until_ready()
    return server


def start_marketprice(directory: Path, keys: dict[str, Any], own: dict[str, Any]) -> Server:
    """`viabtc marketprice` with its place, log and control app in `directory`.

    Args:
        keys: `deals`, `redis`, `accesshttp` and what else the file shall have.
        own: Keys of the section `viabtc`.
    """
    server = spawn_marketprice(directory, keys, own)
    server.until_ready()
    return server


def spawn_marketprice(directory: Path, keys: dict[str, Any], own: dict[str, Any]) -> Server:
    """As `start_marketprice`, without waiting."""
    control, rpc, nowhere = Reserved(), Reserved(), Reserved()
    path = directory / "marketprice.json"
    settings = {
        "log": {"path": str(directory / "marketprice"), "flag": "fatal,error,warn,info"},
        "alert": {"host": "marketprice", "addr": nowhere.place},
        "svr": {"bind": f"tcp@{rpc.place}", "max_pkg_size": 1_000_000, "heartbeat_check": False},
        "accesshttp": f"http://{nowhere.place}/",
        "viabtc": {"control": control.place, **own},
        **keys,
    }
    path.write_text(json.dumps(settings))
    output = directory / "marketprice.out"
    process = spawn(["marketprice", str(path)], output)
    reserved = {"control": control, "rpc": rpc, "nowhere": nowhere}
    return Server(process, f"http://{control.place}", output, reserved)


def start_accesshttp(directory: Path, services: dict[str, list[Place]], **keys: Any) -> Server:
    """`viabtc accesshttp` in front of `services`; those not named listen nowhere."""
    control, nowhere = Reserved(), Reserved()
    settings = {
        "log": {"path": str(directory / "accesshttp"), "flag": "fatal,error,warn,info"},
        "alert": {"host": "accesshttp", "addr": nowhere.place},
        "svr": {"bind": "tcp@127.0.0.1:0", "max_pkg_size": 102400},
        "monitor": {"bind": "tcp@127.0.0.1:0", "max_pkg_size": 1024},
        "viabtc": {"control": control.place},
        **keys,
    }
    reserved = {"control": control, "nowhere": nowhere}
    return _start_linked(directory, "accesshttp", settings, services, reserved)


def start_readhistory(directory: Path, database: dict[str, Any], **keys: Any) -> Server:
    """`viabtc readhistory`, ready."""
    control, rpc = Reserved(), Reserved()
    path = directory / "readhistory.json"
    settings = {
        "log": {"path": str(directory / "readhistory"), "flag": "fatal,error,warn,info"},
        "alert": {"host": "readhistory", "addr": "127.0.0.1:4444"},
        "svr": {"bind": f"tcp@{rpc.place}", "max_pkg_size": 1_000_000, "heartbeat_check": False},
        "db_history": database,
        "viabtc": {"control": control.place},
        **keys,
    }
    path.write_text(json.dumps(settings))
    arguments, output = ["readhistory", str(path)], directory / "readhistory.out"
    return start(arguments, output, f"http://{control.place}", {"control": control, "rpc": rpc})


def start_accessws(
    directory: Path,
    services: dict[str, list[Place]],
    site: str,
    brokers: str = "",
    own: Mapping[str, Any] | None = None,
) -> Server:
    """`viabtc accessws` in front of `services`; those not named listen nowhere.

    Args:
        directory: For its files.
        services: Where they listen.
        site: Address that authenticates.
        brokers: Where the topics are; nowhere when empty.
        own: Keys of the section `viabtc`.
    """
    control, nowhere = Reserved(), Reserved()
    settings: dict[str, Any] = {
        "log": {"path": str(directory / "accessws"), "flag": "fatal,error,warn,info"},
        "alert": {"host": "accessws", "addr": nowhere.place},
        "svr": {"bind": "tcp@127.0.0.1:0", "max_pkg_size": 102400},
        "monitor": {"bind": "tcp@127.0.0.1:0", "max_pkg_size": 1024},
        "auth_url": site,
        "sign_url": site,
        "depth_limit": [1, 5, 10],
        "depth_merge": ["0", "0.1"],
        "viabtc": {"control": control.place, **(own or {})},
    }
    for topic in ("orders", "balances"):
        settings[topic] = {"brokers": brokers or nowhere.place, "topic": topic}
    settings |= {f"{name}_interval": 0.05 for name in ("depth", "deals", "price", "kline")}
    reserved = {"control": control, "nowhere": nowhere}
    return _start_linked(directory, "accessws", settings, services, reserved)


def start_rest(directory: Path, services: dict[str, list[Place]]) -> Server:
    """`viabtc rest` in front of `services`; those not named listen nowhere.

    Its port is reserved as `rest`, its tokens stand in the file `tokens`.
    """
    control, api, nowhere = Reserved(), Reserved(), Reserved()
    settings: dict[str, Any] = {
        "log": {"path": str(directory / "rest"), "flag": "fatal,error,warn,info"},
        "alert": {"host": "rest", "addr": nowhere.place},
        "svr": {"bind": api.place},
        "viabtc": {"control": control.place},
    }
    reserved = {"control": control, "rest": api, "nowhere": nowhere}
    return _start_linked(directory, "rest", settings, services, reserved)


def _start_linked(
    directory: Path,
    service: str,
    settings: Mapping[str, Any],
    services: Mapping[str, list[Place]],
    reserved: dict[str, Reserved],
) -> Server:
    """A service in front of `services`, once it is linked to them; the others are nowhere."""
    remotes = {}
    for name in OWNERS:
        places = services.get(name, [("127.0.0.1", reserved["nowhere"].port)])
        addresses = [f"tcp@{host}:{port}" for host, port in places]
        remotes[name] = {"name": name, "addr": addresses, "max_pkg_size": 2_000_000}
    path, output = directory / f"{service}.json", directory / f"{service}.out"
    path.write_text(json.dumps({**settings, **remotes}))
    process = spawn([service, str(path)], output)
    server = Server(process, f"http://{reserved['control'].place}", output, reserved)
    server.until(lambda: all(server.status()["links"][name] for name in services))
    return server


def migrate(file: Path) -> tuple[int, str]:
    """Takes an original over from its file: exit code and everything that was said."""
    done = subprocess.run(
        [*VIABTC, "migrate", "--from", str(file)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr
