"""The whole exchange in one process stops as an operator expects, under load through its door."""

import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from harness.http import Connection
from harness.processes import VIABTC, Place, Server
from viabtc import _core

USERS = range(101, 109)

STOP_S_MAX = 5.0


class Client(threading.Thread):
    """Deposits one after the other until the door closes."""

    def __init__(self, place: Place, user: int) -> None:
        super().__init__()
        self._place = place
        self._user = user
        self.acknowledged = 0
        self.refusals: set[int] = set()
        """Codes of what was refused."""

    def run(self) -> None:
        with Connection(self._place) as door:
            try:
                for number in range(1_000_000):
                    identity = ("stop", number)
                    answer = door.call("balance.update", self._user, "BTC", *identity, "1", {})
                    if answer["error"] is None:
                        self.acknowledged += 1
                    else:
                        self.refusals.add(answer["error"]["code"])
            except (AssertionError, OSError):
                # No answer: the connection was closed before the request was taken.
                return


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_stop_under_load_answers_what_was_taken_and_seals(
    exchange: Server, tmp_path: Path, number: signal.Signals
) -> None:
    clients = [Client(exchange.place("http"), user) for user in USERS]
    for client in clients:
        client.start()
    exchange.until(lambda: all(client.acknowledged > 20 for client in clients))
    begun = time.monotonic()
    exchange.process.send_signal(number)
    assert not exchange.is_running(STOP_S_MAX), "it still runs"
    assert time.monotonic() - begun < STOP_S_MAX
    assert exchange.process.returncode == 0, exchange.said()
    assert exchange.said().endswith("Stopped.\n")
    for client in clients:
        client.join()
        assert client.refusals <= {3}, "refused for another reason than the stop"
    exchange.stop()
    rows: list[dict[str, Any]] = []
    found = _core.inspect_journal(str(tmp_path / "data"), rows.append)
    assert found["is_sealed"], found
    commands = [row for row in rows if row["kind"] == "command"]
    assert len(commands) == sum(client.acknowledged for client in clients)


def test_who_is_told_that_it_serves_can_stop_it_at_once_and_finds_its_page(tmp_path: Path) -> None:
    ports = ("http", "ws", "rest", "rpc", "console")
    anywhere = [word for port in ports for word in (f"--{port}", "127.0.0.1:0")]
    arguments = [*VIABTC, "run", "--data", str(tmp_path / "data"), *anywhere]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "serves" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        said = process.stdout.read()
    assert process.returncode == 0, said
    assert said.endswith("Stopped.\n")
    (page,) = [line.split()[-1] for line in said.splitlines() if "page, REST, control" in line]
    assert not page.endswith(":0/"), page
