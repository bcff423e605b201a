"""The recorded websocket session comes again: the same answers, pushes that add up to the same."""

import json
import os
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

from harness.http import Connection
from harness.places import shared
from harness.processes import Server, start_exchange
from harness.websocket import Client, View, canonical

DEPTH_LIMIT: Final = 10
"""Of the recorded subscription."""

CLOCK_S: Final = 2.0
"""How far two looks at the clock may be apart."""

CLOCKS: Final = {"server.time"}
"""Methods whose result is the time."""

UNSERVED: Final = {"nope.nope"}
"""Tolerated difference 7: the original does not answer what it does not know."""


def lines() -> list[tuple[str, Any]]:
    text = shared("golden", "websocket.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    return [(row["k"], row["d"]) for row in rows]


def write_tokens(directory: Path) -> None:
    """The tokens that the recorded service knew."""
    directory.mkdir()
    path = directory / "tokens"
    path.write_text("user-1 user-1\nuser-2 user-2\n")
    os.chmod(path, 0o600)  # noqa: PTH101 - beside the write


class Session:
    """The two connections of the recording, ours beside what was recorded."""

    def __init__(self, server: Server, clients: dict[str, Client], door: Connection) -> None:
        self.server = server
        self.clients = clients
        self.door = door
        self.ours = {name: View(DEPTH_LIMIT) for name in clients}
        self.theirs = {name: View(DEPTH_LIMIT) for name in clients}
        self.answers = 0
        self._counted = dict.fromkeys(clients, 0)
        self._asked: dict[tuple[str, int], str] = {}

    def is_same(self, name: str) -> bool:
        """Whether our pushes so far add up to what theirs do; what is ahead of theirs waits."""
        pushes = self.clients[name].pushes
        while self.ours[name].shown() != self.theirs[name].shown():
            if self._counted[name] == len(pushes):
                return False
            self._count(name)
        return True

    def is_same_at_last(self, name: str) -> bool:
        """Whether all of our pushes add up to what all of theirs do."""
        while self._counted[name] < len(self.clients[name].pushes):
            self._count(name)
        return self.ours[name].shown() == self.theirs[name].shown()

    def _count(self, name: str) -> None:
        self.ours[name].apply(self.clients[name].pushes[self._counted[name]])
        self._counted[name] += 1

    def settle(self) -> None:
        """Waits until both connections have seen what the recorded ones had."""
        for name, client in self.clients.items():
            client.until(partial(self.is_same, name))

    def play(self, kind: str, document: Any) -> None:
        """Does, or checks, what a line says."""
        name, way = kind[0], kind[1:]
        if kind == "http":
            self.settle()
            result = self.door.result(document["method"], *document["params"])
            assert canonical(result) == canonical(document["body"]["result"])
        elif way == ">":
            self.settle()
            self._send(name, document)
        elif way == "<" and document["id"] is None:
            self.theirs[name].apply(document)
        elif way == "<":
            self._check_answer(name, document)

    def _send(self, name: str, document: dict[str, Any]) -> None:
        if document["method"].endswith(".history"):
            self.server.until(self._is_written)
        client = self.clients[name]
        self._asked[name, document["id"]] = document["method"]
        client.send(document)
        if document["method"] in UNSERVED:
            error = client.answer(document["id"])["error"]
            assert error == {"code": 4, "message": "method not found"}

    def _is_written(self) -> bool:
        written = self.server.metric("viabtc_history_sequence")
        return bool(written >= self.server.status()["sequence"])

    def _check_answer(self, name: str, recorded: dict[str, Any]) -> None:
        method = self._asked[name, recorded["id"]]
        answer = self.clients[name].answer(recorded["id"])
        self.answers += 1
        if method in CLOCKS:
            assert abs(answer["result"] - time.time()) < CLOCK_S, answer
        else:
            assert canonical(answer) == canonical(recorded), method


def test_the_recorded_session_comes_again(tmp_path: Path, golden_config: dict[str, Any]) -> None:
    write_tokens(tmp_path / "data")
    config = {**golden_config, "viabtc": {"first_candle_zero": True}}
    with ExitStack() as stack:
        server = start_exchange(tmp_path, config)
        stack.callback(server.stop)
        place = server.place("websocket")
        clients = {name: stack.enter_context(Client(place)) for name in ("A", "B")}
        door = stack.enter_context(Connection(server.place("http")))
        session = Session(server, clients, door)
        for kind, document in lines():
            session.play(kind, document)
        # Everything is unsubscribed from, and an order was put since.
        for name, client in clients.items():
            assert client.result("server.ping") == "pong"
            assert session.is_same_at_last(name), client.pushes[-3:]
        assert session.answers > 40, session.answers
        assert len(session.ours["A"].orders) == 7
