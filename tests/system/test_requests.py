"""One request is followed by its ids from a client's header to the engine's log."""

import asyncio
import json
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from harness.configs import small_config
from harness.processes import (
    Place,
    Server,
    start_accesshttp,
    start_accessws,
    start_matchengine,
    start_rest,
)
from harness.site import site

TOLD = "request"
FAILED = "a request failed"


def lines(server: Server, event: str) -> list[dict[str, Any]]:
    """What the log of a server says of single requests."""
    text = server.output.with_suffix(".log").read_text()
    found = [json.loads(line) for line in text.splitlines()]
    return [line for line in found if line["event"] == event]


def the(server: Server, event: str, **wanted: object) -> dict[str, Any]:
    """The one line with these fields, once it is there."""

    def matching() -> list[dict[str, Any]]:
        said = lines(server, event)
        return [line for line in said if wanted.items() <= line.items()]

    server.until(lambda: bool(matching()))
    (line,) = matching()
    return line


def tell(server: Server, *levels: str) -> None:
    """Changes the levels of a running service."""
    body = json.dumps({"levels": levels}).encode()
    asked = urllib.request.Request(
        f"{server.control}/log/levels", body, {"Content-Type": "application/json"}, method="PUT"
    )
    with urllib.request.urlopen(asked, timeout=10) as answer:
        assert answer.status == 200


def ask(
    place: Place, path: str, body: object = None, request_id: str = ""
) -> tuple[int, dict[str, Any]]:
    """Status and document of an answer over HTTP."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"X-Request-Id": request_id} if request_id else {}
    request = urllib.request.Request(f"http://{place[0]}:{place[1]}{path}", data, headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Server]:
    server = start_matchengine(tmp_path, small_config())
    yield server
    assert server.stop() == 0, server.said()


def test_an_http_request_is_found_in_the_engines_log(engine: Server, tmp_path: Path) -> None:
    door = start_accesshttp(tmp_path, {"matchengine": [engine.place("rpc")]})
    query = {"method": "balance.query", "params": [1], "id": 7}
    # Nobody wants to know of it.
    assert ask(door.place("http"), "/", query, "silent-1")[0] == 200
    tell(door, "info", "debug")
    tell(engine, "info", "debug")
    status, answer = ask(door.place("http"), "/", query, "ticket-42")
    assert (status, answer["id"]) == (200, 7)
    at_door = the(door, TOLD, request_id="ticket-42")
    assert (at_door["port"], at_door["command"], at_door["id"]) == ("door", "balance.query", 7)
    at_engine = the(engine, TOLD, call=at_door["call"])
    assert (at_engine["port"], at_engine["command"], at_engine["id"]) == ("rpc", "balance.query", 7)
    assert at_engine["took_us"] <= at_door["took_us"]
    # An id that a log cannot bear is not taken, and a refusal has its code.
    bad = {"method": "order.cancel", "params": [1, "BTCUSDT", 5], "id": 8}
    assert ask(door.place("http"), "/", bad, "a b")[1]["error"]["code"] == 10
    refused = the(door, TOLD, id=8)
    assert (refused["request_id"], refused["code"]) == (f"{8:016x}", 10)
    assert the(engine, TOLD, call=refused["call"])["code"] == 10
    for server in (door, engine):
        assert not [line for line in lines(server, TOLD) if line["request_id"] == "silent-1"]
        assert not lines(server, FAILED)
    tell(door, "info")
    assert ask(door.place("http"), "/", query, "silent-2")[0] == 200
    assert door.stop() == 0
    assert not [line for line in lines(door, TOLD) if line["request_id"] == "silent-2"]


def test_a_request_of_the_api_has_its_number_in_the_engines_log(
    engine: Server, tmp_path: Path
) -> None:
    rest = start_rest(tmp_path, {"matchengine": [engine.place("rpc")]})
    for server in (rest, engine):
        tell(server, "info", "debug")
    assert ask(rest.until_open("rest"), "/api/v1/markets", None, "00c0ffee00c0ffee")[0] == 200
    found = [line for line in lines(engine, TOLD) if line["request_id"] == "00c0ffee00c0ffee"]
    assert "market.list" in {line["command"] for line in found}
    path = "/api/v1/markets/BTCUSDT/depth"
    status, answer = ask(rest.until_open("rest"), path, None, "ticket-43")
    assert status == 200, answer
    number = the(rest, TOLD, request_id="ticket-43")["rpc_id"]
    assert the(engine, TOLD, request_id=number)["command"] == "order.depth"
    assert rest.stop() == 0


def test_a_question_over_websocket_is_found_in_the_engines_log(
    engine: Server, tmp_path: Path
) -> None:
    async def question(place: Place) -> Any:
        async with connect(f"ws://{place[0]}:{place[1]}/") as socket:
            text = {"method": "depth.query", "params": ["BTCUSDT", 5, "0"], "id": 99}
            await socket.send(json.dumps(text))
            return json.loads(await socket.recv())

    with site() as address:
        hub = start_accessws(tmp_path, {"matchengine": [engine.place("rpc")]}, address)
        for server in (hub, engine):
            tell(server, "info", "debug")
        assert asyncio.run(question(hub.place("websocket")))["id"] == 99
        at_hub = the(hub, TOLD, id=99)
        assert at_hub["port"] == "hub"
        assert the(engine, TOLD, call=at_hub["call"])["command"] == "order.depth"
        assert hub.stop() == 0


def test_requests_that_a_service_fails_are_told_without_being_asked_for(
    engine: Server, tmp_path: Path
) -> None:
    door = start_accesshttp(tmp_path, {"matchengine": [engine.place("rpc")]}, timeout=0.2)
    query = {"method": "balance.query", "params": [1], "id": 7}
    engine.process.send_signal(signal.SIGSTOP)
    try:
        assert ask(door.place("http"), "/", query, "slow-1")[0] == 504
    finally:
        engine.process.send_signal(signal.SIGCONT)
    late = the(door, FAILED, request_id="slow-1")
    assert (late["code"], late["command"], late["level"]) == (5, "balance.query", "warning")
    query = {"method": "balance.history", "params": [1, "", "", 0, 0, 0, 1], "id": 8}
    assert ask(door.place("http"), "/", query, "away-1")[0] == 500
    assert the(door, FAILED, request_id="away-1")["code"] == 3
    assert door.stop() == 0
