"""Orders and balances reach their user through a real broker, also one that is killed meanwhile."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from harness.kafka import Broker, records
from harness.processes import start_accessws, start_matchengine
from harness.rpc import Client as RpcClient
from harness.rpc import Frame
from harness.site import site
from harness.websocket import Client, View
from viabtc.contract.methods import BY_NAME

MARKET = "BTCUSDT"

SUCCESS = {"status": "success"}

DEADLINE_S = 60.0
"""A broker that was killed is back within this, however busy the machine is."""


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Ends what a test started, also when it fails."""
    with ExitStack() as stack:
        yield stack


def count(broker: Broker, topic: str) -> int:
    """Messages of a topic; none while it is being made."""
    try:
        return len(records(broker.place, topic))
    except KafkaError:
        return 0


def is_frozen(push: dict[str, Any]) -> bool:
    """Whether a push tells that something of BTC is frozen."""
    held = push["params"][0] if push["method"] == "asset.update" else {}
    return bool(held.get("BTC", {"freeze": "0"})["freeze"] != "0")


def test_a_users_orders_and_balances_are_told_through_the_topics(
    own_broker: Broker, tmp_path: Path, golden_config: dict[str, Any], stack: ExitStack
) -> None:
    engine = start_matchengine(tmp_path, {**golden_config, "brokers": own_broker.place})
    stack.callback(engine.stop)
    place = engine.place("rpc")

    def ask(method: str, *params: Any) -> Any:
        with RpcClient(place) as client:
            frame = Frame(BY_NAME[method].command, json.dumps(params).encode(), request_id=1)
            document = json.loads(client.exchange(frame).body)
        assert document["error"] is None, document
        return document["result"]

    def put(user: int, side: int, amount: str, price: str) -> Any:
        return ask("order.put_limit", user, MARKET, side, amount, price, "0", "0", "test")

    def view(client: Client) -> View:
        view = View(10)
        for push in client.pushes:
            view.apply(push)
        return view

    for user in (1, 2):
        for asset in ("BTC", "USDT"):
            ask("balance.update", user, asset, "deposit", 1, "1000000", {})
    # Behind them accessws begins: a late one would have it ask for balances before the order comes.
    engine.until(lambda: count(own_broker, "balances") == 4, DEADLINE_S)
    with site() as url:
        server = start_accessws(tmp_path, {"matchengine": [place]}, url, own_broker.place)
        stack.callback(server.stop)
        server.until(lambda: set(server.status()["topics"].values()) == {None}, DEADLINE_S)
        with Client(server.place("websocket")) as client:
            assert client.result("server.auth", "user-1", "web") == SUCCESS
            assert client.result("order.subscribe", MARKET) == SUCCESS
            assert client.result("asset.subscribe", "BTC", "USDT") == SUCCESS
            put(1, 1, "1", "8000")
            put(2, 2, "0.25", "8000")
            wanted = {
                "BTC": {"available": "999999", "freeze": "0.75"},
                "USDT": {"available": "1002000", "freeze": "0"},
            }
            client.until(lambda: view(client).assets == wanted, DEADLINE_S)
            client.until(lambda: len(view(client).orders) == 2, DEADLINE_S)
            events = [(event, order["left"]) for event, order in view(client).orders]
            assert events == [(1, "1"), (2, "0.75")]
            methods = [push["method"] for push in client.pushes]
            frozen = [is_frozen(push) for push in client.pushes].index(True)
            assert methods.index("order.update") < frozen, "the order comes before its assets"

            own_broker.kill()
            put(2, 2, "0.25", "8000")
            own_broker.start()
            put(2, 2, "0.5", "8000")
            client.until(lambda: len(view(client).orders) == 4, DEADLINE_S)
            events = [(event, order["left"]) for event, order in view(client).orders]
            assert events[2:] == [(2, "0.5"), (3, "0")]
            wanted = {
                "BTC": {"available": "999999", "freeze": "0"},
                "USDT": {"available": "1008000", "freeze": "0"},
            }
            client.until(lambda: view(client).assets == wanted, DEADLINE_S)
