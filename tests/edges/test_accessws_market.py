"""Market data between real processes: at once from the topic, and whole after any of them died."""

import asyncio
import contextlib
import itertools
import json
import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from websockets.exceptions import ConnectionClosed

from harness.cutting import CuttingProxy
from harness.kafka import Broker
from harness.processes import Server, start_accessws, start_marketprice, start_matchengine
from harness.redis_cluster import Node
from harness.rpc import Client as RpcClient
from harness.rpc import Frame
from harness.site import site
from harness.websocket import Client, View, canonical
from viabtc.client import StreamClient
from viabtc.contract.methods import BY_NAME

MARKET: Final = "BTCUSDT"

ROUNDS: Final = int(os.environ.get("VIABTC_WEBSOCKET_ROUNDS", "1"))
"""So often each process is killed."""

SEED: Final = os.environ.get("VIABTC_SEED") or str(random.randrange(10**9))

DEADLINE_S: Final = 90.0
"""A process that was killed is back and has caught up within this, on a busy machine too."""

PAUSE_S: Final = 0.02
"""Between two deals: what is made must be told by processes that share two cores."""

FAMILIES: Final[tuple[tuple[Any, ...], ...]] = (
    ("kline.subscribe", MARKET, 60),
    ("price.subscribe", MARKET),
    ("state.subscribe", MARKET),
    ("today.subscribe", MARKET),
    ("deals.subscribe", MARKET),
    ("depth.subscribe", MARKET, 10, "0"),
)


def sides_of(asks: Any, bids: Any) -> dict[str, dict[str, str]]:
    """A book as `View` has it."""
    return {
        "asks": {canonical(price): canonical(amount) for price, amount in asks},
        "bids": {canonical(price): canonical(amount) for price, amount in bids},
    }


class Site:
    """Engine, marketprice and accessws around one broker and one Redis, each replaceable."""

    def __init__(
        self, directory: Path, config: dict[str, Any], broker: Broker, redis: Node, url: str
    ) -> None:
        self.broker = broker
        self._directory = directory
        self._config = {**config, "brokers": broker.place}
        self._redis = redis
        self._url = url
        self.engine = start_matchengine(directory, self._config)
        self.rpc = self.engine.place("rpc")
        self.marketprice = self._start_marketprice()
        self.prices = self.marketprice.place("rpc")
        self.ask("balance.update", 1, "BTC", "deposit", 1, "1000000", {})
        self.ask("balance.update", 1, "USDT", "deposit", 2, "1000000000", {})
        self.trade(8000)
        self.marketprice.until(lambda: self.newest() == 1, DEADLINE_S)
        self.accessws = self._start_accessws()

    def ask(self, method: str, *params: Any) -> Any:
        """The result of a method."""
        place = self.prices if method.startswith("market.") else self.rpc
        with RpcClient(place) as client:
            frame = Frame(BY_NAME[method].command, json.dumps(params).encode(), request_id=1)
            client.send(frame.encode())
            reply = client.receive()
        if reply is None:
            raise ConnectionResetError(method)
        document = json.loads(reply.body)
        assert document["error"] is None, document
        return document["result"]

    def trade(self, price: int) -> None:
        """One deal."""
        for side in (1, 2):
            self.ask("order.put_limit", 1, MARKET, side, "1", str(price), "0", "0", "test")

    def newest(self) -> int:
        """Id of the newest deal that marketprice knows of; 0 before it knows the market."""
        with RpcClient(self.prices) as client:
            params = json.dumps([MARKET, 1, 0]).encode()
            frame = Frame(BY_NAME["market.deals"].command, params, request_id=1)
            document = json.loads(client.exchange(frame).body)
        return document["result"][0]["id"] if document["result"] else 0

    def kill(self, name: str) -> None:
        """Ends one of them as a power cut does."""
        getattr(self, name).kill()

    def begin(self, name: str) -> None:
        """Starts it again, where it was."""
        match name:
            case "engine":
                bind = [f"tcp@{self.rpc[0]}:{self.rpc[1]}"]
                self.engine = start_matchengine(self._directory, self._config, bind=bind)
            case "marketprice":
                self.marketprice = self._start_marketprice(f"tcp@127.0.0.1:{self.prices[1]}")
            case "broker":
                self.broker.start()
            case "accessws":
                self.accessws = self._start_accessws()

    def truth(self) -> tuple[Any, ...]:
        """What a subscriber must know, asked of the services when they have all deals."""
        last = self.engine.status()["deal_id"]
        self.marketprice.until(lambda: self.newest() == last, DEADLINE_S)
        book = self.ask("order.depth", MARKET, 10, "0")
        return (
            canonical(self.ask("market.last", MARKET)),
            canonical(self.ask("market.status", MARKET, 86_400)),
            canonical(self.ask("market.status_today", MARKET)),
            [last],
            sides_of(book["asks"], book["bids"]),
        )

    def until_live(self) -> None:
        """Waits until pushes come from the topic."""
        self.accessws.until(lambda: self.accessws.metric("viabtc_boards_live") == 1, DEADLINE_S)

    def close(self) -> None:
        servers = (self.accessws, self.marketprice, self.engine)
        # All of them, whatever one says: what is left open fails the next test.
        codes = [server.stop() for server in servers]
        assert codes == [0, 0, 0], [server.said() for server in servers]

    def _start_marketprice(self, bind: str | None = None) -> Server:
        keys: dict[str, Any] = {
            "deals": {"brokers": self.broker.place, "topic": "deals"},
            "redis": {"name": "", "addr": [self._redis.place]},
        }
        if bind is not None:
            keys["svr"] = {"bind": bind, "max_pkg_size": 1_000_000, "heartbeat_check": False}
        return start_marketprice(self._directory, keys, {"flush_interval_s": 0.05})

    def _start_accessws(self) -> Server:
        services = {"matchengine": [self.rpc], "marketprice": [self.prices]}
        server = start_accessws(self._directory, services, self._url, self.broker.place)
        server.until(lambda: set(server.status()["topics"].values()) == {None}, DEADLINE_S)
        return server


@pytest.fixture
def exchange(
    own_broker: Broker, redis: Node, tmp_path: Path, golden_config: dict[str, Any]
) -> Iterator[Site]:
    with ExitStack() as stack:
        url = stack.enter_context(site())
        exchange = Site(tmp_path, golden_config, own_broker, redis, url)
        stack.callback(exchange.close)
        yield exchange


class Subscriber:
    """A client of the original's protocol that subscribed to everything public, and reads."""

    def __init__(self, port: int) -> None:
        self._client = Client(("127.0.0.1", port)).__enter__()
        self._view = View(10)
        self._is_closed = False
        self._heard = threading.Condition()
        for method, *params in FAMILIES:
            assert self._client.result(method, *params) == {"status": "success"}
        # Who does not read is closed, however long a test looks elsewhere.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def close(self) -> None:
        self._client.__exit__(None, None, None)
        self._reader.join()

    def until(self, is_so: Callable[[View], bool]) -> None:
        """Waits until the pushes add up to something."""
        with self._heard:
            self._heard.wait_for(lambda: self._is_closed or is_so(self._view), DEADLINE_S)
            assert is_so(self._view), (self._is_closed, self._view.shown())

    def until_closed(self) -> None:
        """Waits until the server is gone."""
        with self._heard:
            assert self._heard.wait_for(lambda: self._is_closed, DEADLINE_S)
        self.close()

    def until_known(self, truth: tuple[Any, ...]) -> None:
        """Waits until everything that `Site.truth` says is known."""
        self.until(
            lambda view: (
                (
                    view.prices.get(MARKET),
                    view.figures.get(("state.update", MARKET)),
                    view.figures.get(("today.update", MARKET)),
                    sorted(view.deals)[-1:],
                    view.books.get(MARKET),
                )
                == truth
            )
        )

    def _read(self) -> None:
        pushes = self._client.pushes
        try:
            while True:
                with self._heard:
                    for push in pushes:
                        self._view.apply(push)
                    pushes.clear()
                    self._heard.notify_all()
                pushes.append(self._client.receive(None))
        except ConnectionClosed:
            with self._heard:
                self._is_closed = True
                self._heard.notify_all()


def test_pushes_follow_deals_while_marketprice_is_away(exchange: Site) -> None:
    exchange.trade(8010)
    subscriber = Subscriber(exchange.accessws.place("websocket")[1])
    exchange.until_live()
    exchange.kill("marketprice")
    for price in (8020, 8005):
        exchange.trade(price)

    def is_told(view: View) -> bool:
        state = view.figures.get(("state.update", MARKET), {})
        today = view.figures.get(("today.update", MARKET), {})
        return (
            view.prices.get(MARKET) == "8005"
            and (state.get("high"), state.get("volume")) == ("8020", "4")
            and (today.get("low"), today.get("deal")) == ("8000", "32035")
            and sorted(view.deals) == [1, 2, 3, 4]
            and any(candle[2] == "8005" for candle in view.candles.values())
        )

    subscriber.until(is_told)
    exchange.begin("marketprice")
    exchange.trade(8030)
    subscriber.until_known(exchange.truth())
    subscriber.close()


class Trading:
    """Deals of a thread of its own, while it is told to go on."""

    def __init__(self, exchange: Site) -> None:
        self.made = 0
        self._exchange = exchange
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        for price in itertools.cycle(range(8000, 8100, 7)):
            if self._is_over.wait(PAUSE_S):
                return
            # The engine may be killed at any point.
            with contextlib.suppress(OSError):
                self._exchange.trade(price)
                self.made += 1


def test_whoever_subscribed_goes_on_or_begins_again_whatever_was_killed(exchange: Site) -> None:
    draw = random.Random(SEED)
    names = ["engine", "marketprice", "broker", "accessws"] * ROUNDS
    draw.shuffle(names)
    try:
        asyncio.run(kill_each(exchange, names))
    except BaseException as error:
        error.add_note(f"VIABTC_SEED={SEED}: {names}")
        raise


async def kill_each(exchange: Site, names: list[str]) -> None:
    """Kills one after the other; after each everybody must know what is true."""
    proxy = CuttingProxy(exchange.accessws.place("websocket"))
    subscriber = Subscriber(proxy.port)
    ids: list[int] = []
    ticker: dict[str, Any] = {}
    async with StreamClient(f"ws://127.0.0.1:{proxy.port}") as stream:
        await stream.subscribe(f"trades:{MARKET}", f"book:{MARKET}", f"ticker:{MARKET}")
        book = stream.book(MARKET)

        async def listen() -> None:
            async for message in stream:
                if message.channel.startswith("ticker:"):
                    ticker.update(message.data)
                elif message.channel.startswith("trades:"):
                    if message.is_snapshot:
                        ids.clear()
                    ids.extend(trade["id"] for trade in message.data)
                async with heard:
                    heard.notify_all()

        async def until(is_so: Callable[[], bool]) -> None:
            async with asyncio.timeout(DEADLINE_S), heard:
                await heard.wait_for(is_so)

        def is_told(truth: tuple[Any, ...]) -> bool:
            is_same = canonical(ticker) == truth[1] and ids[-1:] == truth[3]
            return bool(is_same and sides_of(book.asks, book.bids) == truth[4])

        heard = asyncio.Condition()
        listening = asyncio.create_task(listen())
        for name in names:
            subscriber = await asyncio.to_thread(one_round, exchange, proxy, name, subscriber)
            truth = await asyncio.to_thread(exchange.truth)
            await asyncio.to_thread(subscriber.until_known, truth)
            await until(partial(is_told, truth))
            # The last hundred at least, since the stream began or began again.
            assert ids == list(range(ids[0], ids[-1] + 1)), "each deal once, in order"
        subscriber.close()
        assert stream.figures["restarts"] == 0, "no number and no checksum was wrong"
        assert stream.figures["connects"] == 1 + names.count("accessws")
        listening.cancel()
    proxy.close()


def one_round(exchange: Site, proxy: CuttingProxy, name: str, subscriber: Subscriber) -> Subscriber:
    """Kills one of them while deals are made; who subscribed, anew when the hub was killed."""
    exchange.until_live()
    trading = Trading(exchange)
    try:
        exchange.engine.until(lambda: trading.made > 2, DEADLINE_S)
        exchange.kill(name)
        if name == "accessws":
            subscriber.until_closed()
        exchange.begin(name)
        if name == "accessws":
            proxy.forward_to(exchange.accessws.place("websocket"))
            subscriber = Subscriber(proxy.port)
        count = trading.made
        exchange.engine.until(lambda: trading.made > count + 3, DEADLINE_S)
    finally:
        trading.end()
    return subscriber
