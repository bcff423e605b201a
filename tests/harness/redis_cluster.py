"""Private Redis servers and Sentinels on free ports, their files in a folder of the test."""

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError

from harness.processes import Reserved

START_DEADLINE_S: Final = 60.0
"""A server that was killed reads its whole log before it answers."""

MASTER: Final = "trade"
"""Name of the master, as the Sentinels know it."""

_ATTEMPTS: Final = 4
"""Of a failover."""

_LOOK_S: Final = 0.02


def until(is_so: Callable[[], bool], what: str, deadline_s: float = START_DEADLINE_S) -> None:
    """Waits for a condition; a server that does not answer does not fulfil it."""
    deadline = time.monotonic() + deadline_s
    while True:
        try:
            if is_so():
                return
        except (RedisError, OSError):
            pass
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true in {deadline_s} s")
        time.sleep(_LOOK_S)


class Node:
    """One process of Redis, a server or a Sentinel."""

    def __init__(self, directory: Path, name: str, lines: list[str], program: str) -> None:
        self.directory = directory / name
        self.directory.mkdir(parents=True, exist_ok=True)
        self._reserved = Reserved()
        self._program = program
        self._config = self.directory / "redis.conf"
        self._config.write_text(
            "\n".join(
                [
                    f"port {self.port}",
                    "bind 127.0.0.1",
                    f"dir {self.directory}",
                    "protected-mode no",
                    *lines,
                    "",
                ]
            )
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return self._reserved.port

    @property
    def place(self) -> str:
        return self._reserved.place

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def client(self) -> Redis:
        """A connection of the test."""
        return Redis(port=self.port, socket_timeout=5)

    def start(self) -> None:
        """Starts the process and waits until it answers."""
        with (self.directory / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [self._program, str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

        def answers() -> bool:
            with socket.create_connection(("127.0.0.1", self.port), 1), self.client() as client:
                return bool(client.ping())

        until(answers, f"an answer of {self._program}")

    def kill(self) -> None:
        """Ends it as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def go_back(self, meanwhile: Callable[[], None]) -> None:
        """Lets `meanwhile` happen and then undoes it, as a replica that lacks it takes over."""
        before = self.directory.with_name(f"{self.directory.name}-before")
        self.kill()
        shutil.copytree(self.directory, before)
        self.start()
        meanwhile()
        self.kill()
        shutil.rmtree(self.directory)
        before.rename(self.directory)
        self.start()

    def close(self) -> None:
        """Ends it and gives its port back."""
        self.kill()
        self._reserved.close()


def new_server(directory: Path, name: str = "redis", *lines: str) -> Node:
    """A server that keeps every write, not yet started."""
    common = ["appendonly yes", "appendfsync everysec", 'save ""', "repl-diskless-sync-delay 0"]
    return Node(directory, name, [*common, *lines], "redis-server")


class Cluster:
    """A master, a replica and three Sentinels."""

    def __init__(self, directory: Path) -> None:
        first = new_server(directory, "first")
        second = new_server(directory, "second", f"replicaof 127.0.0.1 {first.port}")
        self.servers = [first, second]
        lines = [
            f"sentinel monitor {MASTER} 127.0.0.1 {first.port} 2",
            f"sentinel down-after-milliseconds {MASTER} 500",
            f"sentinel failover-timeout {MASTER} 2000",
            f"sentinel parallel-syncs {MASTER} 1",
        ]
        self.sentinels = [
            Node(directory, f"sentinel-{number}", lines, "redis-sentinel") for number in range(3)
        ]

    @property
    def places(self) -> list[str]:
        """Of the Sentinels, for configurations."""
        return [sentinel.place for sentinel in self.sentinels]

    def start(self) -> None:
        """Starts all, and waits until the Sentinels know each other and the replica."""
        for node in (*self.servers, *self.sentinels):
            node.start()
        self._until_complete()

    def master(self) -> Node:
        """The server that the Sentinels call master."""
        with self.sentinels[0].client() as client:
            _, port = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
        return next(server for server in self.servers if server.port == int(port))

    def fail_over(self) -> None:
        """Kills the master, waits for the other one to take over, starts the old one again.

        On a busy machine a Sentinel whose timer was late takes nobody for dead for 30 s. By then
        the replica is too old for it, for good: the master comes back and is killed once more.
        """
        old = self.master()
        for _ in range(_ATTEMPTS):
            old.kill()
            with contextlib.suppress(AssertionError):
                until(lambda: self.master() is not old, "a failover", 40)
                break
            old.start()
            self._until_complete()
        new = self.master()
        assert new is not old, f"no failover in {_ATTEMPTS} attempts"
        with new.client() as client:
            until(lambda: client.role()[0] == b"master", "promotion", 30)
        old.start()
        self._until_complete()

    def close(self) -> None:
        """Ends all."""
        for node in (*self.sentinels, *self.servers):
            node.close()

    def _until_complete(self) -> None:
        for sentinel in self.sentinels:
            with sentinel.client() as client:
                until(lambda: self._is_complete(client), "agreement of the Sentinels", 60)

    @staticmethod
    def _is_complete(client: Any) -> bool:
        state = client.sentinel_master(MASTER)
        replicas = client.sentinel_slaves(MASTER)
        return (
            state["num-other-sentinels"] == 2
            and not state["is_odown"]
            and any(
                not replica["is_disconnected"]
                and not replica["is_sdown"]
                and replica["master-link-status"] == "ok"
                for replica in replicas
            )
        )
