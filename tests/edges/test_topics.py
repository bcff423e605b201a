"""The topics of `viabtc matchengine` with a real broker: every message, in order, numbered."""

import json
import os
import random
import shutil
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from redis import Redis

from edges.test_marketprice import dump
from golden.transcript import engine_calls
from harness.kafka import Broker, records
from harness.original_prices import Original
from harness.places import shared
from harness.processes import Server, spawn_matchengine, start_marketprice, start_matchengine
from harness.redis_cluster import Node
from harness.rpc import Client, Frame
from viabtc.contract.methods import BY_NAME

TOPICS: Final = ("balances", "orders", "deals")

SCENARIO: Final = "flow-00"

ENGINE_KILLS: Final = int(os.environ.get("VIABTC_ENGINE_KILLS", "6"))
BROKER_KILLS: Final = int(os.environ.get("VIABTC_BROKER_KILLS", "5"))

DEADLINE_S: Final = 60.0

PROMPT_S: Final = 1.0
"""An engine without its broker answers within this, on a busy machine."""


def call(client: Client, method: str, *params: Any) -> dict[str, Any]:
    frame = Frame(BY_NAME[method].command, json.dumps(params).encode())
    answer: dict[str, Any] = json.loads(client.exchange(frame).body)
    return answer


def play(client: Client, scenario: str) -> None:
    """Asks everything that was recorded of the engine."""
    for recorded in engine_calls(scenario):
        call(client, recorded.method, *recorded.params)


def until_sent(server: Server) -> None:
    """Waits until the topics hold what the engine has done."""

    def is_sent() -> bool:
        status = server.status()
        topics = status["projections"]["topics"]
        return bool(topics["problem"] is None and topics["sequence"] >= status["sequence"])

    server.until(is_sent, DEADLINE_S)


def with_broker(config: dict[str, Any], broker: Broker) -> dict[str, Any]:
    return {**config, "brokers": broker.place}


def same(ours: Any, theirs: Any) -> bool:
    """Whether two payloads are equal but for times and the notation of numbers."""
    if isinstance(theirs, dict):
        return list(ours) == list(theirs) and all(same(ours[key], theirs[key]) for key in theirs)
    if isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(theirs, float):
        return isinstance(ours, float)
    if isinstance(theirs, str) and ours != theirs:
        return Decimal(ours) == Decimal(theirs)
    return type(ours) is type(theirs) and ours == theirs


def test_recorded_calls_lead_to_the_recorded_payloads_numbered_from_1(
    tmp_path: Path, own_broker: Broker, golden_config: dict[str, Any]
) -> None:
    server = start_matchengine(tmp_path, with_broker(golden_config, own_broker))
    with Client(server.place("rpc")) as client:
        play(client, SCENARIO)
    until_sent(server)
    for topic in TOPICS:
        lines = shared("golden", f"{SCENARIO}.kafka.{topic}.jsonl").read_text().splitlines()
        found = records(own_broker.place, topic)
        assert len(found) == len(lines)
        for number, (record, line) in enumerate(zip(found, lines, strict=True), 1):
            assert record.headers["number"] == number
            assert record.headers["epoch"] == 1
            assert same(json.loads(record.payload), json.loads(line)), (topic, number)
        places = [(record.headers["sequence"], record.headers["part"]) for record in found]
        assert places == sorted(set(places))
    assert server.stop() == 0, server.said()


def check_topics(broker: Broker, server: Server) -> None:
    """Without repeats every topic is dense, in order, and as long as the engine counted."""
    status = server.status()
    for topic in TOPICS:
        found = records(broker.place, topic)
        last = 0
        for record in found:
            number = record.headers["number"]
            assert number <= last + 1, f"{topic}: {number} after {last} at {record.offset}"
            last = max(last, number)
        newest = {record.headers["number"]: record for record in found}
        places = [
            (newest[number].headers["sequence"], newest[number].headers["part"])
            for number in range(1, last + 1)
        ]
        assert places == sorted(set(places)), topic
        if topic == "deals":
            assert last == status["deal_id"]
            ids = [json.loads(newest[number].payload)[11] for number in range(1, last + 1)]
            assert ids == list(range(1, last + 1))
        if topic == "orders":
            puts = [json.loads(record.payload) for record in newest.values()]
            assert {put["order"]["id"] for put in puts} == set(range(1, status["order_id"] + 1))


class Trader:
    """Random orders of two users, each asked once."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._updates = 0

    def fund(self, client: Client) -> None:
        for user in (1, 2):
            for asset in ("BTC", "USDT"):
                self._updates += 1
                params: list[Any] = [user, asset, "deposit", self._updates, "100000000", {}]
                assert call(client, "balance.update", *params)["error"] is None

    def trade(self, client: Client, count: int) -> None:
        for _ in range(count):
            user, side = self._draw.choice([1, 2]), self._draw.choice([1, 2])
            price, amount = self._draw.randrange(90, 110), self._draw.randrange(1, 100)
            params: list[Any] = [
                user,
                "BTCUSDT",
                side,
                str(amount),
                str(price),
                "0.002",
                "0.001",
                "t",
            ]
            assert call(client, "order.put_limit", *params)["error"] is None


def test_kills_of_engine_and_broker_lose_no_message_and_hold_up_no_order(
    tmp_path: Path, own_broker: Broker, golden_config: dict[str, Any], seed: int
) -> None:
    draw = random.Random(seed)
    trader = Trader(draw)
    config = with_broker(golden_config, own_broker)
    server = start_matchengine(tmp_path, config)
    with Client(server.place("rpc")) as client:
        trader.fund(client)
    faults = ["engine"] * ENGINE_KILLS + ["broker"] * BROKER_KILLS
    draw.shuffle(faults)
    for fault in faults:
        with Client(server.place("rpc")) as client:
            trader.trade(client, draw.randrange(1, 300))
            if fault == "broker":
                own_broker.kill()
                started = time.monotonic()
                trader.trade(client, 1)
                assert time.monotonic() - started < PROMPT_S
                trader.trade(client, 100)
                own_broker.start()
        if fault == "engine":
            server.kill()
            server = spawn_matchengine(tmp_path, config)
            server.until_ready()
    with Client(server.place("rpc")) as client:
        trader.trade(client, 50)
    until_sent(server)
    check_topics(own_broker, server)
    assert server.stop() == 0, server.said()


def test_a_broker_may_be_away_for_longer_than_segments_of_the_feed(
    tmp_path: Path, own_broker: Broker, golden_config: dict[str, Any], seed: int
) -> None:
    trader = Trader(random.Random(seed))
    config = with_broker(golden_config, own_broker)
    # The smallest segments, and snapshots, which remove what nobody needs any more.
    own = {"segment_bytes": 1 << 20, "snapshot_interval_s": 1}
    data = tmp_path / "data"

    def segments() -> list[str]:
        return sorted(path.name for path in data.glob("feed-*.seg"))

    server = start_matchengine(tmp_path, config, own)
    with Client(server.place("rpc")) as client:
        trader.fund(client)
        trader.trade(client, 50)
    until_sent(server)
    own_broker.kill()
    sent = server.status()["projections"]["topics"]["sequence"]
    first = segments()[-1]
    for life in (1, 2):
        with Client(server.place("rpc")) as client:
            while len(segments()) < 2 * life + 1:
                started = time.monotonic()
                trader.trade(client, 1)
                assert time.monotonic() - started < PROMPT_S
                trader.trade(client, 200)
        assert first in segments(), "what the broker lacks is kept"
        # The second half of the absence begins with a death: a start needs no broker either.
        server.kill()
        server = spawn_matchengine(tmp_path, config, own)
        server.until_ready()
    assert server.status()["sequence"] > sent
    own_broker.start()
    with Client(server.place("rpc")) as client:
        trader.trade(client, 50)
    until_sent(server)
    check_topics(own_broker, server)
    assert server.stop() == 0, server.said()


def test_a_topic_that_lost_its_end_is_filled_again(
    tmp_path: Path, own_broker: Broker, golden_config: dict[str, Any], seed: int
) -> None:
    trader = Trader(random.Random(seed))
    config = with_broker(golden_config, own_broker)
    server = start_matchengine(tmp_path, config)
    with Client(server.place("rpc")) as client:
        trader.fund(client)
        trader.trade(client, 100)
    until_sent(server)
    own_broker.stop()
    backup = tmp_path / "backup"
    shutil.copytree(own_broker.topics, backup)
    own_broker.start()
    with Client(server.place("rpc")) as client:
        trader.trade(client, 100)
    until_sent(server)
    assert server.stop() == 0, server.said()
    own_broker.stop()
    shutil.rmtree(own_broker.topics)
    shutil.copytree(backup, own_broker.topics)
    own_broker.start()
    server = spawn_matchengine(tmp_path, config)
    server.until_ready()
    until_sent(server)
    check_topics(own_broker, server)
    assert "lost its end" in (tmp_path / "matchengine.log").read_text()
    assert server.stop() == 0, server.said()


def test_another_engines_topics_are_left_alone(
    tmp_path: Path, own_broker: Broker, golden_config: dict[str, Any], seed: int
) -> None:
    trader = Trader(random.Random(seed))
    config = with_broker(golden_config, own_broker)
    (tmp_path / "first").mkdir()
    server = start_matchengine(tmp_path / "first", config)
    with Client(server.place("rpc")) as client:
        trader.fund(client)
        trader.trade(client, 20)
    until_sent(server)
    assert server.stop() == 0, server.said()
    before = [len(records(own_broker.place, topic)) for topic in TOPICS]
    (tmp_path / "second").mkdir()
    server = start_matchengine(tmp_path / "second", config)
    server.until(lambda: server.status()["projections"]["topics"]["problem"] is not None)
    with Client(server.place("rpc")) as client:
        Trader(random.Random(seed)).fund(client)
    problem = server.status()["projections"]["topics"]["problem"]
    assert "do not belong together" in problem
    assert server.stop() == 0, server.said()
    assert [len(records(own_broker.place, topic)) for topic in TOPICS] == before


@pytest.mark.parametrize("scenario", ["flow-11"])
def test_market_data_of_a_whole_deployment_are_as_recorded(
    scenario: str, tmp_path: Path, own_broker: Broker, redis: Node, golden_config: dict[str, Any]
) -> None:
    (tmp_path / "price").mkdir()
    engine = start_matchengine(tmp_path, with_broker(golden_config, own_broker))
    with Client(engine.place("rpc")) as client:
        play(client, scenario)
    until_sent(engine)
    keys = {
        "deals": {"brokers": own_broker.place, "topic": "deals"},
        "redis": {"name": "", "addr": [redis.place]},
    }
    price = start_marketprice(tmp_path / "price", keys, {"timezone": "UTC"})
    lines = shared("golden", f"{scenario}.kafka.deals.jsonl").read_text().splitlines()
    price.until(lambda: price.status()["offset"] == len(lines) - 1, DEADLINE_S)
    # Rolling figures hold a deal of the first second of a minute from the next second on.
    price.until(lambda: int(time.time()) % 60 != 0, DEADLINE_S)
    markets = {json.loads(line)[1] for line in lines}
    with Client(price.place("rpc")) as client:
        for market in markets:
            recorded = [deal for deal in map(json.loads, lines) if deal[1] == market]
            shown = call(client, "market.deals", market, 10_000, 0)["result"]
            assert [row["id"] for row in shown] == [deal[11] for deal in reversed(recorded)]
            status = call(client, "market.status", market, 86_400)["result"]
            volume = sum((Decimal(deal[7]) for deal in recorded), Decimal(0))
            turnover = sum((Decimal(deal[7]) * Decimal(deal[6]) for deal in recorded), Decimal(0))
            assert (Decimal(status["volume"]), Decimal(status["deal"])) == (volume, turnover)
            last = call(client, "market.last", market)["result"]
            assert last == recorded[-1][6]
    assert price.stop() == 0, price.said()
    # An original makes the same of our engine's messages, and refuses none of them.
    original = Original(())
    for record in records(own_broker.place, "deals"):
        assert original.take(record.offset, record.payload), record
    with redis.client() as ours, Redis(port=redis.port, db=1) as theirs:
        original.flush(theirs)
        assert readable(ours) == readable(theirs)
    assert engine.stop() == 0, engine.said()


def readable(client: Any) -> dict[str, Any]:
    """Every key of an original's, with numbers by their value."""
    values = {
        key: value
        for key, value in dump(client).items()
        if key != "k:offset" and not key.startswith("viabtc:")
    }
    for key, value in values.items():
        if isinstance(value, dict):
            values[key] = {
                field: [*map(Decimal, json.loads(text))] for field, text in value.items()
            }
        elif isinstance(value, list):
            deals = [json.loads(text) for text in value]
            numbers = [(Decimal(deal.pop("price")), Decimal(deal.pop("amount"))) for deal in deals]
            values[key] = [*zip(deals, numbers, strict=True)]
    return {**values, "k:offset": client.get("k:offset")}
