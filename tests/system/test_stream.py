"""The stream: numbered channels, what they tell, how a client goes on after an end."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from harness.configs import three_markets
from harness.cutting import CuttingProxy
from harness.http import Connection
from harness.processes import Place, Server, start_accessws, start_exchange, start_matchengine
from harness.rpc import Client as RpcClient
from harness.rpc import Frame
from harness.site import site
from viabtc.client import RefusedError, StreamClient
from viabtc.contract.asyncapi import message_schema
from viabtc.contract.channels import CHANNELS, PATH
from viabtc.contract.methods import BY_NAME

MARKET: Final = "BTCUSDT"
DEADLINE_S: Final = 20.0
NOBODYS: Final = "a token of nobody"

Told = dict[str, list[dict[str, Any]]]
"""What each channel told, oldest first."""


def fund(door: Connection) -> None:
    for user in (1, 2):
        for asset in ("BTC", "USDT"):
            door.result("balance.update", user, asset, "deposit", 1, "10000000", {})


def put(door: Connection, user: int, side: int, amount: str, price: str) -> Any:
    return door.result("order.put_limit", user, MARKET, side, amount, price, "0", "0", "test")


def token_of(directory: Path, name: str) -> str:
    lines = (directory / "data" / "tokens").read_text().splitlines()
    return dict(line.split(" ") for line in lines)[name]


def opened(place: Place) -> connect:
    return connect(f"ws://{place[0]}:{place[1]}{PATH}")


async def call(socket: ClientConnection, method: str, *params: Any) -> dict[str, Any]:
    """Asks, and waits for the answer; what is told meanwhile must not come before it."""
    await socket.send(json.dumps({"id": 1, "method": method, "params": params}))
    answer: dict[str, Any] = json.loads(await socket.recv())
    assert answer.get("id") == 1, answer
    return answer


async def hear(socket: ClientConnection, told: Told, is_enough: Callable[[], bool]) -> None:
    """Takes messages in until there are enough."""
    async with asyncio.timeout(DEADLINE_S):
        while not is_enough():
            message = json.loads(await socket.recv())
            told[message["channel"]].append(message)


def run(work: Awaitable[None]) -> None:
    async def whole() -> None:
        async with asyncio.timeout(3 * DEADLINE_S):
            await work

    asyncio.run(whole())


def test_every_channel_begins_with_the_whole_and_tells_numbered_steps_of_its_schema(
    exchange: Server, tmp_path: Path
) -> None:
    names = {
        channel.name: ":".join(
            (
                channel.name,
                *({"MARKET": MARKET, "INTERVAL": "60"}[part] for part in channel.parameters),
            )
        )
        for channel in CHANNELS.values()
    }

    async def work() -> None:
        told: Told = defaultdict(list)
        with Connection(exchange.place("http")) as door:
            async with opened(exchange.place("websocket")) as socket:
                fund(door)
                assert (await call(socket, "auth", token_of(tmp_path, "user-1")))["error"] is None
                assert (await call(socket, "subscribe", *names.values()))["result"] == "success"
                await hear(socket, told, lambda: set(told) == set(names.values()))
                for number in range(3):
                    put(door, 1, 1, "2", f"{8000 + number}")
                    put(door, 2, 2, "1", f"{8000 + number}")
                # The user's first order was filled by the second taker, and is gone.
                assert door.result("order.pending", 1, MARKET, 0, 10)["total"] == 2
                await hear(
                    socket,
                    told,
                    lambda: (
                        len(trades(told)) == 3
                        and all(len(told[name]) > 1 for name in names.values())
                        and set(open_orders(told)) == {3, 5}
                    ),
                )
        for name, channel in names.items():
            validator = Draft202012Validator(message_schema(CHANNELS[name]))
            for number, message in enumerate(told[channel]):
                validator.validate(message)
                assert message["sequence"] == told[channel][0]["sequence"] + number
                assert (message["type"] == "snapshot") == (number == 0), message
        assert [trade["price"] for trade in trades(told)] == ["8000", "8000", "8001"]

    run(work())


def trades(told: Told) -> list[dict[str, Any]]:
    return [trade for message in told[f"trades:{MARKET}"] for trade in message["data"]]


def open_orders(told: Told) -> dict[int, Any]:
    """A user's orders as the messages add up."""
    orders: dict[int, Any] = {}
    for message in told[f"orders:{MARKET}"]:
        orders.update({order["id"]: order for order in message["data"]["open"]})
        for number in message["data"]["gone"]:
            orders.pop(number, None)
    return orders


def test_who_comes_back_gets_what_he_missed_or_the_whole(exchange: Server) -> None:
    channel = f"trades:{MARKET}"

    async def work() -> None:
        place = exchange.place("websocket")
        with Connection(exchange.place("http")) as door:
            fund(door)
            put(door, 1, 1, "100", "8000")
            told: Told = defaultdict(list)
            async with opened(place) as socket:
                await call(socket, "subscribe", channel)
                put(door, 2, 2, "1", "8000")
                await hear(socket, told, lambda: len(trades(told)) == 1)
            last = told[channel][-1]
            for _ in range(5):
                put(door, 2, 2, "1", "8000")
            standing = {"channel": channel, "stream": last["stream"], "after": last["sequence"]}
            async with opened(place) as socket:
                await call(socket, "subscribe", standing)
                await hear(socket, told, lambda: len(trades(told)) == 6)
            sequences = [message["sequence"] for message in told[channel]]
            assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))
            assert {message["type"] for message in told[channel][1:]} <= {"update"}
            ids = [trade["id"] for trade in trades(told)]
            assert ids == sorted(set(ids))
            for wrong in (
                {**standing, "stream": "0123456789abcdef"},
                {**standing, "after": 10_000},
                {**standing, "stream": "none of ours"},
            ):
                async with opened(place) as socket:
                    await call(socket, "subscribe", wrong)
                    whole = json.loads(await socket.recv())
                assert whole["type"] == "snapshot"
                assert len(whole["data"]) == 6

    run(work())


def test_errors_name_what_is_wrong(exchange: Server) -> None:
    async def work() -> None:
        place = exchange.place("websocket")
        for method, params, code, problem in (
            ("subscribe", ["deals:BTCUSDT"], 1, 'no channel "deals:BTCUSDT": there are trades:'),
            ("subscribe", ["candles:BTCUSDT:x"], 1, "the interval is a number of seconds"),
            ("subscribe", [7], 1, "the parameters are channels"),
            ("subscribe", [{"channel": "bbo:BTCUSDT"}], 1, '"stream": TEXT'),
            ("subscribe", ["balances"], 6, '"balances" needs auth before it'),
            ("subscribe", [f"bbo:M{number}" for number in range(33)], 1, "are at most 32, and"),
            ("subscribe", ["x" * 4_097], 1, "a text of a request has at most 4,096 bytes"),
            ("auth", [], 1, "one token"),
            ("nope", [], 4, 'no method "nope": subscribe'),
        ):
            async with opened(place) as socket:
                error = (await call(socket, method, *params))["error"]
                assert error["code"] == code, error
                assert problem in error["message"]
        async with opened(place) as socket:
            await socket.send("{}")
            assert json.loads(await socket.recv())["error"]["message"].startswith("a request is")
            told: Told = defaultdict(list)
            await call(socket, "subscribe", "book:NOPE")
            await hear(socket, told, lambda: len(told["book:NOPE"]) == 1)
            assert told["book:NOPE"][0]["error"]["message"] == "no such market or interval"
        async with StreamClient(f"ws://{place[0]}:{place[1]}") as client:
            # More than a request takes, and with the last more than a connection may have.
            with pytest.raises(RefusedError, match="200 subscriptions"):
                await client.subscribe(*(f"bbo:M{number}" for number in range(201)))
            await client.unsubscribe(*(f"bbo:M{number}" for number in range(33)))
        with pytest.raises(RefusedError, match="invalid token"):
            await StreamClient(f"ws://{place[0]}:{place[1]}", token=NOBODYS).__aenter__()

    run(work())


async def call_often(socket: ClientConnection) -> None:
    for _ in range(30):
        await call(socket, "ping")


def test_more_messages_than_allowed_close_the_connection(exchange: Server) -> None:
    async def work() -> None:
        async with opened(exchange.place("websocket")) as socket:
            with pytest.raises(ConnectionClosed) as closed:
                await call_often(socket)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008

    run(work())


def test_a_client_goes_on_after_the_exchange_was_killed(exchange: Server, tmp_path: Path) -> None:
    async def work() -> None:
        proxy = CuttingProxy(exchange.place("websocket"))
        with Connection(exchange.place("http")) as door:
            fund(door)
            put(door, 1, 1, "1", "8000")
            token = token_of(tmp_path, "user-1")
            async with StreamClient(f"ws://127.0.0.1:{proxy.port}", token=token) as client:
                await client.subscribe(f"book:{MARKET}", "balances")
                book = client.book(MARKET)
                balances: dict[str, Any] = {}

                async def until(is_so: Callable[[], bool]) -> None:
                    async with asyncio.timeout(DEADLINE_S):
                        while not is_so():
                            message = await anext(client)
                            if message.channel == "balances":
                                balances.update(message.data)

                await until(lambda: book.asks == [("8000", "1")] and bool(balances))
                await asyncio.to_thread(exchange.kill)
                proxy.cut_after(0)
                returned = await asyncio.to_thread(start_exchange, tmp_path, three_markets())
                proxy.forward_to(returned.place("websocket"))
                with Connection(returned.place("http")) as again:
                    put(again, 2, 2, "3", "7000")
                    put(again, 1, 2, "1", "6000")
                bids = [("7000", "3"), ("6000", "1")]
                await until(lambda: book.bids == bids and balances["USDT"]["freeze"] == "6000")
                assert book.asks == [("8000", "1")]
                assert client.figures["connects"] > 1
                assert client.figures["restarts"] == 0
            proxy.close()
            assert await asyncio.to_thread(returned.stop) == 0

    run(work())


def test_between_processes_a_book_goes_on_when_the_engine_or_the_port_was_killed(
    tmp_path: Path, golden_config: dict[str, Any]
) -> None:
    engine = start_matchengine(tmp_path, golden_config)
    place = engine.place("rpc")

    def ask(method: str, *params: Any) -> None:
        frame = Frame(BY_NAME[method].command, json.dumps(params).encode(), request_id=1)
        with RpcClient(place) as client:
            answer = json.loads(client.exchange(frame).body)
        assert answer["error"] is None, answer

    def place_order(side: int, price: str) -> None:
        ask("order.put_limit", 1, MARKET, side, "1", price, "0", "0", "test")

    async def work() -> None:
        for asset in ("BTC", "USDT"):
            ask("balance.update", 1, asset, "deposit", 1, "10000000", {})
        place_order(1, "8000")
        with site() as url:
            port = start_accessws(tmp_path, {"matchengine": [place]}, url)
            proxy = CuttingProxy(port.place("websocket"))
            async with StreamClient(f"ws://127.0.0.1:{proxy.port}") as client:
                await client.subscribe(f"book:{MARKET}")
                book = client.book(MARKET)

                async def until_bids(*prices: str) -> None:
                    async with asyncio.timeout(DEADLINE_S):
                        while [price for price, _ in book.bids] != list(prices):
                            await anext(client)

                first = await anext(client)
                assert first.is_snapshot
                assert book.asks == [("8000", "1")]
                await asyncio.to_thread(engine.kill)
                ports = [f"tcp@{place[0]}:{place[1]}"]
                returned = await asyncio.to_thread(
                    start_matchengine, tmp_path, golden_config, bind=ports
                )
                place_order(2, "7000")
                await until_bids("7000")
                assert client.figures == {"connects": 1}, "it went on without a gap"
                await asyncio.to_thread(port.kill)
                proxy.cut_after(0)
                place_order(2, "7500")
                again = await asyncio.to_thread(
                    start_accessws, tmp_path, {"matchengine": [place]}, url
                )
                proxy.forward_to(again.place("websocket"))
                await until_bids("7500", "7000")
                assert client.figures["restarts"] == 0
                assert [price for price, _ in book.asks] == ["8000"]
            proxy.close()
            assert await asyncio.to_thread(again.stop) == 0
            assert await asyncio.to_thread(returned.stop) == 0

    run(work())
