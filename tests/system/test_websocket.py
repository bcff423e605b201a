"""Websocket push as clients of others see it, in one process and in front of separate services."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from harness.http import Connection
from harness.processes import Place, Server, start_accessws, start_exchange, start_matchengine
from harness.site import site
from harness.websocket import Client, View

MARKET = "BTCUSDT"

SUCCESS = {"status": "success"}


def fund(ask: Any) -> None:
    for user in (1, 2):
        for asset in ("BTC", "USDT"):
            ask("balance.update", user, asset, "deposit", 1, "10000000", {})


def put(ask: Any, user: int, side: int, amount: str, price: str) -> Any:
    return ask("order.put_limit", user, MARKET, side, amount, price, "0", "0", "test")


def view_of(client: Client) -> View:
    view = View(100)
    for push in client.pushes:
        view.apply(push)
    return view


def test_the_keepalive_of_pythons_websockets_finds_us_alive(exchange: Server) -> None:
    host, port = exchange.place("websocket")

    async def stay() -> None:
        async with connect(f"ws://{host}:{port}/", ping_interval=0.05, ping_timeout=5) as socket:
            for _ in range(20):
                # Each waits for the pong that has the ping's payload.
                await (await socket.ping())
            await socket.send(json.dumps({"id": 1, "method": "server.ping", "params": []}))
            assert json.loads(await socket.recv())["result"] == "pong"

    asyncio.run(stay())


def test_a_token_of_the_data_directory_opens_what_is_private(
    exchange: Server, tmp_path: Path
) -> None:
    lines = (tmp_path / "data" / "tokens").read_text().splitlines()
    tokens = dict(line.split(" ") for line in lines)
    with Connection(exchange.place("http")) as door, Client(exchange.place("websocket")) as client:
        refused = client.call("server.auth", tokens["admin"], "test")
        assert refused["error"] == {"code": 11, "message": "invalid token"}
        assert client.result("server.auth", tokens["user-1"], "test") == SUCCESS
        assert client.result("asset.subscribe", "USDT") == SUCCESS
        door.result("balance.update", 2, "USDT", "deposit", 7, "1000", {})
        door.result("balance.update", 1, "USDT", "deposit", 7, "5", {})
        client.until(lambda: available(client) == ["5"])
        assert client.result("server.auth", tokens["user-2"], "test") == SUCCESS
        door.result("balance.update", 1, "USDT", "deposit", 8, "5", {})
        assert client.result("asset.subscribe", "USDT") == SUCCESS
        door.result("balance.update", 1, "USDT", "deposit", 9, "5", {})
        door.result("balance.update", 2, "USDT", "deposit", 9, "1000", {})
        client.until(lambda: available(client) == ["5", "2000"])


def available(client: Client) -> list[str]:
    """What the pushes of one asset showed."""
    return [push["params"][0]["USDT"]["available"] for push in client.pushes]


@pytest.fixture
def engine(tmp_path: Path, golden_config: dict[str, Any]) -> Iterator[Server]:
    server = start_matchengine(tmp_path, golden_config)
    yield server
    if server.is_running():
        assert server.stop() == 0, server.said()


def test_it_stands_in_front_of_a_service_and_goes_on_when_that_returns(
    engine: Server, tmp_path: Path, golden_config: dict[str, Any]
) -> None:
    place = engine.place("rpc")
    with site() as url:
        server = start_accessws(tmp_path, {"matchengine": [place]}, url)
        with Client(server.place("websocket")) as client:
            assert client.call("server.auth", "nobody", "web")["error"]["code"] == 11
            assert client.result("server.sign", "id", "user-2", 5) == SUCCESS
            assert client.result("server.auth", "user-1", "web") == SUCCESS
            assert client.result("asset.query", "BTC")["BTC"] == {"available": "0", "freeze": "0"}
            assert client.call("price.query", MARKET)["error"]["code"] == 2, "no marketprice"
            assert client.result("depth.subscribe", MARKET, 10, "0") == SUCCESS
            assert client.result("depth.query", MARKET, 10, "0") == {"asks": [], "bids": []}
            fund(lambda *call: rpc(place, *call))
            put(lambda *call: rpc(place, *call), 1, 1, "1", "8000")
            client.until(lambda: view_of(client).books == {MARKET: book(asks={"8000": "1"})})
            ports = [f"tcp@{place[0]}:{place[1]}"]
            engine.kill()
            client.until(lambda: client.call("depth.query", MARKET, 1, "0")["error"] is not None)
            returned = start_matchengine(tmp_path, golden_config, bind=ports)
            client.until(lambda: client.call("depth.query", MARKET, 1, "0")["error"] is None)
            put(lambda *call: rpc(place, *call), 2, 2, "2", "7000")
            wanted = {MARKET: book(asks={"8000": "1"}, bids={"7000": "2"})}
            client.until(lambda: view_of(client).books == wanted)
        assert server.stop() == 0, server.said()
        assert returned.stop() == 0, returned.said()
    # An outage is no reason to wake anybody: the original alerts twice a second and topic.
    lines = (tmp_path / "accessws.log").read_text().splitlines()
    levels = {json.loads(line)["level"] for line in lines}
    assert levels >= {"info"}
    assert not levels & {"fatal", "critical"}


def book(
    asks: dict[str, str] | None = None, bids: dict[str, str] | None = None
) -> dict[str, dict[str, str]]:
    return {"asks": asks or {}, "bids": bids or {}}


def rpc(place: Place, method: str, *params: Any) -> Any:
    """Calls a service; the result, which there must be."""
    from harness.rpc import Client as RpcClient
    from harness.rpc import Frame
    from viabtc.contract.methods import BY_NAME

    with RpcClient(place) as client:
        frame = Frame(BY_NAME[method].command, json.dumps(params).encode(), request_id=1)
        document = json.loads(client.exchange(frame).body)
    assert document["error"] is None, document
    return document["result"]


def test_pushes_of_a_market_add_up_while_it_is_traded(
    tmp_path: Path, golden_config: dict[str, Any]
) -> None:
    server = start_exchange(tmp_path, golden_config)
    with Connection(server.place("http")) as door, Client(server.place("websocket")) as client:
        fund(door.result)
        for family in ("price", "state", "today", "deals"):
            assert client.result(f"{family}.subscribe", MARKET) == SUCCESS
        assert client.result("kline.subscribe", MARKET, 86400) == SUCCESS
        assert client.result("depth.subscribe", MARKET, 100, "0") == SUCCESS
        for number in range(1, 151):
            put(door.result, 1, 1, "1", str(8000 + number % 7))
            put(door.result, 2, 2, "0.9", "8006")
        door.result("order.put_limit", 2, MARKET, 2, "0.1", "9000", "0", "0", "test")
        count = len(door.result("market.deals", MARKET, 10000, 0))
        client.until(lambda: len(view_of(client).deals) == count)
        last = door.result("market.last", MARKET)
        client.until(lambda: float(view_of(client).prices.get(MARKET, "0")) == float(last))
        depth = door.result("order.depth", MARKET, 100, "0")
        sides = {side: dict(depth[side]) for side in ("asks", "bids")}
        client.until(lambda: view_of(client).books == {MARKET: sides})
        with Client(server.place("websocket")) as late:
            assert late.result("deals.subscribe", MARKET) == SUCCESS
            late.until(lambda: len(late.pushes) == 1)
            newest = sorted(view_of(client).deals)[-100:]
            assert sorted(view_of(late).deals) == newest
    assert server.stop() == 0, server.said()
