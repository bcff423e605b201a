"""A deployment whose services are the original's or ours, each on a port that stays the same."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Final

import pytest

from harness.http import Connection
from harness.kafka import Broker
from harness.mariadb import Mariadb
from harness.processes import Reserved, Running, migrate, spawn
from harness.redis_cluster import MASTER, Cluster

DEADLINE_S: Final = 60.0

_LOOK_S: Final = 0.05

SERVICES: Final = ("matchengine", "accesshttp", "marketprice", "readhistory")
"""In the order of a start: each needs those before it."""


def programs() -> Path:
    """The folder of the original's programs; skips the test where there is none."""
    folder = os.environ.get("VIABTC_ORIGINAL")
    if not folder:
        pytest.skip("VIABTC_ORIGINAL names no folder with the original's programs")
    found = Path(folder).resolve()
    for service in SERVICES:
        assert (found / f"{service}.exe").is_file(), f"{found}/{service}.exe is missing"
    return found


class Deployment:
    """Its databases, brokers and files are one set, whoever serves."""

    def __init__(
        self,
        directory: Path,
        markets: dict[str, Any],
        mariadb: Mariadb,
        broker: Broker,
        cluster: Cluster,
    ) -> None:
        """Starts nothing.

        Args:
            directory: For files and logs.
            markets: A matchengine file's assets and markets, with what else it has.
            mariadb: With the tables of both.
            broker: Of the topics.
            cluster: Of the market data.
        """
        self._directory = directory.resolve()
        self._programs = programs()
        self._markets = markets
        self._mariadb = mariadb
        self._broker = broker
        self._cluster = cluster
        self._data = "data"
        self._reserved = {service: Reserved() for service in SERVICES}
        self._controls = {service: Reserved() for service in SERVICES}
        self._console, self._monitor, self._nowhere = Reserved(), Reserved(), Reserved()
        self._ours: dict[str, Running] = {}
        self._theirs: set[str] = set()

    def start(self, service: str, *, is_ours: bool) -> None:
        """Starts a service and waits until it takes connections."""
        path = self._file(service)
        output = self._directory / f"{service}.out"
        if is_ours:
            self._ours[service] = spawn([service, str(path)], output)
        else:
            self._theirs.add(service)
            with output.open("ab") as file:
                # It leaves a child behind that watches, and one that serves.
                command = [str(self._programs / f"{service}.exe"), str(path)]
                subprocess.run(command, cwd=self._directory, stdout=file, stderr=file, check=True)
        deadline = time.monotonic() + DEADLINE_S
        while not self._is_answering(service):
            assert time.monotonic() < deadline, output.read_text(errors="replace")[-2000:]
            time.sleep(_LOOK_S)

    def stop(self, service: str) -> None:
        """Stops it as an operator does."""
        ours = self._ours.pop(service, None)
        if ours is not None:
            ours.terminate()
            assert ours.wait(DEADLINE_S) == 0, service
            return
        self._theirs.remove(service)
        deadline = time.monotonic() + DEADLINE_S
        while pids := self._pids(service):
            number = signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            time.sleep(_LOOK_S)

    def swap(self, service: str, *, is_ours: bool) -> None:
        """Stops it, whosever it is, and starts the other one."""
        self.stop(service)
        self.start(service, is_ours=is_ours)

    def take_over(self, name: str) -> None:
        """Takes the stopped original's state into a new data directory of ours, called `name`."""
        self._data = name
        code, said = migrate(self._file("matchengine"))
        assert code == 0, said
        assert "audited" in said

    def door(self) -> Connection:
        return Connection(("127.0.0.1", self._reserved["accesshttp"].port))

    def rpc(self) -> tuple[str, int]:
        """Where the engine answers."""
        return "127.0.0.1", self._reserved["matchengine"].port

    def close(self) -> None:
        """Ends whatever runs."""
        for process in self._ours.values():
            process.kill()
            process.wait()
        for service in self._theirs:
            for pid in self._pids(service):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for reserved in (*self._reserved.values(), *self._controls.values()):
            reserved.close()
        for reserved in (self._console, self._monitor, self._nowhere):
            reserved.close()

    def _pids(self, service: str) -> list[int]:
        program = self._programs / f"{service}.exe"
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                # Another deployment's may run, too.
                place = ((entry / "exe").readlink(), (entry / "cwd").readlink())
                if place == (program, self._directory):
                    found.append(int(entry.name))
        return found

    def _is_answering(self, service: str) -> bool:
        place = ("127.0.0.1", self._reserved[service].port)
        try:
            if service == "accesshttp":
                # The original's listens before it has workers.
                with Connection(place) as door:
                    return door.call("market.list")["error"] is None
            socket.create_connection(place, 1).close()
        except (OSError, AssertionError, ValueError, KeyError):
            return False
        return True

    def _file(self, service: str) -> Path:
        keys: dict[str, Any] = {
            "debug": False,
            "process": {"file_limit": 20_000, "core_limit": 0},
            "log": {
                "path": str(self._directory / f"{service}-log"),
                "flag": "fatal,error,warn,info",
                "num": 10,
            },
            "alert": {"host": service, "addr": self._nowhere.place},
            "svr": {
                "bind": [f"tcp@{self._reserved[service].place}"],
                "buf_limit": 100,
                "max_pkg_size": 1_000_000,
                "heartbeat_check": False,
            },
            # The original does not look at it.
            "viabtc": {"control": self._controls[service].place},
        }
        path = self._directory / f"{service}.json"
        path.write_text(json.dumps({**keys, **self._keys(service)}))
        return path

    def _keys(self, service: str) -> dict[str, Any]:
        """What only this service's file has."""
        databases = self._mariadb.sections()
        match service:
            case "matchengine":
                return {
                    **{name: self._markets[name] for name in ("assets", "markets")},
                    **databases,
                    "brokers": self._broker.place,
                    "cli": f"tcp@{self._console.place}",
                    "viabtc": {
                        "data": str(self._directory / self._data),
                        "control": self._controls[service].place,
                    },
                }
            case "readhistory":
                return {"db_history": databases["db_history"], "worker_num": 10}
            case "marketprice":
                return {
                    "deals": {"brokers": self._broker.place, "topic": "deals", "partition": 0},
                    "redis": {"name": MASTER, "addr": self._cluster.places},
                    "accesshttp": f"http://{self._reserved['accesshttp'].place}",
                    "viabtc": {
                        "control": self._controls[service].place,
                        "first_candle_zero": True,
                    },
                }
            case _:
                return {
                    "monitor": {"bind": f"tcp@{self._monitor.place}", "max_pkg_size": 1024},
                    "worker_num": 1,
                    "timeout": 1.0,
                    **{
                        name: {
                            "name": name,
                            "addr": [f"tcp@{self._reserved[name].place}"],
                            "max_pkg_size": 2_000_000,
                        }
                        for name in ("matchengine", "marketprice", "readhistory")
                    },
                }
