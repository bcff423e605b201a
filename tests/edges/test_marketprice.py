"""`viabtc marketprice` with a real broker, Redis and Sentinels: each deal counts exactly once."""

import json
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from harness.candles import STEPS, Deal, candles, filled, numbers
from harness.kafka import Broker, Headers, Publisher, records
from harness.original_prices import Original
from harness.places import shared
from harness.processes import Server, start_marketprice
from harness.redis_cluster import Node
from harness.rpc import Client, Frame
from harness.site import listing
from viabtc.contract.methods import BY_NAME

SCENARIOS: Final = sorted(
    path.name.removesuffix(".stores.json") for path in shared("golden").glob("*.stores.json")
)

MARKETS: Final = ("BTCUSDT", "ETHUSDT")

DEADLINE_S: Final = 60.0
"""A consumer has caught up within this, however busy the machine is."""


def unique(name: str) -> str:
    """A topic that no other test uses."""
    return f"{name}-{time.monotonic_ns()}"


def plain(redis: Node, broker: Broker, topic: str) -> dict[str, Any]:
    """Keys of the configuration for a plain Redis."""
    return {
        "deals": {"brokers": broker.place, "topic": topic},
        "redis": {"name": "", "addr": [redis.place]},
    }


class Market:
    """Deals of two markets that a test makes, sends and knows."""

    def __init__(self, publisher: Publisher, topic: str, draw: random.Random) -> None:
        self.deals: dict[str, list[Deal]] = {name: [] for name in MARKETS}
        self.offset = -1
        self._publisher = publisher
        self._topic = topic
        self._draw = draw
        self._count = 0
        self._time = time.time() - 3000

    def send(self, count: int) -> None:
        """Makes deals and sends them with the headers of our publisher, sometimes twice."""
        messages = self.make(count)
        if self._draw.random() < 0.3:
            # A publisher that was not sure sends its last messages again.
            messages += messages[-self._draw.randrange(1, count + 1) :]
        self.offset = self._publisher.send(self._topic, messages)

    def make(self, count: int) -> list[tuple[bytes, Headers]]:
        """Makes deals without sending them."""
        return [self._message() for _ in range(count)]

    def _message(self) -> tuple[bytes, Headers]:
        self._count += 1
        self._time += self._draw.choice([0, 0.001, 0.4, 3, 40])
        self._time = min(self._time, time.time())
        market, side = self._draw.choice(MARKETS), self._draw.choice([1, 2])
        price = Decimal(self._draw.randrange(1, 10**7)).scaleb(-2)
        amount = Decimal(self._draw.randrange(1, 10**8)).scaleb(-8)
        shown = round(self._time, 6)
        kind = "sell" if side == 1 else "buy"
        self.deals[market].append(Deal(self._count, shown, price, amount, kind))
        message = [shown + 0.0, market, 1, 2, 1, 2, f"{price:f}", f"{amount:f}", "0", "0", side]
        payload = json.dumps([*message, self._count, "A", "B"]).encode()
        headers: Headers = {"epoch": 1, "sequence": self._count, "part": 0, "number": self._count}
        return payload, headers


def until_counted(server: Server, offset: int) -> None:
    """Waits until everything up to an offset is counted in and stored."""
    server.until(lambda: (server.status()["stored_offset"] or 0) >= offset, DEADLINE_S)


@contextmanager
def asking(server: Server) -> Iterator[Any]:
    """Calls over RPC; results of calls that must succeed."""
    with Client(server.place("rpc")) as client:

        def ask(method: str, *params: Any) -> Any:
            frame = Frame(BY_NAME[method].command, json.dumps(params).encode())
            answer = json.loads(client.exchange(frame).body)
            assert answer["error"] is None, (method, params, answer)
            return answer["result"]

        yield ask


def check_stored(redis: Any, deals: dict[str, list[Deal]], *, is_zero_first: bool = False) -> None:
    """Compares Redis with a recomputation from all deals."""
    for market, made in deals.items():
        if not made:
            continue
        for name, step in STEPS.items():
            stored = {
                int(field): [Decimal(text) for text in json.loads(value)]
                for field, value in redis.hgetall(f"k:{market}:{name}").items()
            }
            assert stored == candles(made, step, is_zero_first=is_zero_first), f"{market} {name}"
        listed = [json.loads(text) for text in redis.lrange(f"k:{market}:deals", 0, -1)]
        assert [
            Deal(row["id"], row["time"], Decimal(row["price"]), Decimal(row["amount"]), row["type"])
            for row in reversed(listed)
        ] == made[-10_000:], market
        assert Decimal(redis.get(f"k:{market}:last").decode()) == made[-1].price


def check(server: Server, redis: Any, deals: dict[str, list[Deal]]) -> None:
    """Compares answers and Redis with a recomputation from all deals."""
    check_stored(redis, deals)
    with asking(server) as ask:
        for market, made in deals.items():
            if not made:
                continue
            for name, step in STEPS.items():
                start, end = int(made[0].time), int(made[-1].time)
                answer = numbers(ask("market.kline", market, start, end, step))
                rows = filled(candles(made, step), start, end, step)
                assert answer == rows, f"{market} {name}"
            assert Decimal(ask("market.last", market)) == made[-1].price
            shown = ask("market.deals", market, 100, 0)
            assert [row["id"] for row in shown] == [deal.id for deal in made[:-101:-1]]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_deals_of_an_original_lead_to_its_keys_and_offset(
    scenario: str,
    tmp_path: Path,
    broker: Broker,
    publisher: Publisher,
    redis: Node,
    golden_config: dict[str, Any],
) -> None:
    topic = unique(scenario)
    recorded = json.loads(shared("golden", f"{scenario}.stores.json").read_text())["redis"]
    listed = [market["name"] for market in golden_config["markets"]]
    with listing(listed) as door:
        keys = {**plain(redis, broker, topic), "accesshttp": door}
        server = start_marketprice(tmp_path, keys, {"first_candle_zero": True, "timezone": "UTC"})
        server.until(lambda: server.status()["markets"] == len(listed), DEADLINE_S)
        deals = shared("golden") / f"{scenario}.kafka.deals.jsonl"
        # A topic that nobody wrote to was not recorded.
        payloads = deals.read_bytes().splitlines() if deals.exists() else []
        if payloads:
            publisher.send(topic, [(payload, {}) for payload in payloads])
            until_counted(server, len(payloads) - 1)
        assert server.stop() == 0, server.said()
    with redis.client() as client:
        found = dump(client)
    ours = {key: value for key, value in found.items() if not key.startswith("viabtc:")}
    theirs = {key: flat(value) for key, value in recorded.items() if key.startswith("k:")}
    # To the byte: the recordings hold no number that an original writes with an exponent.
    assert ours == theirs


def flat(recorded: dict[str, Any]) -> Any:
    """A recorded key as `dump` has it: hashes are recorded as lists of fields and values."""
    value = recorded["value"]
    return dict(zip(value[::2], value[1::2], strict=True)) if recorded["type"] == "hash" else value


def dump(client: Any) -> dict[str, Any]:
    """Every key with its value as texts."""
    found: dict[str, Any] = {}
    for name in client.keys():  # noqa: SIM118 - a server, not a dict
        key = name.decode()
        kind = client.type(name)
        if kind == b"hash":
            found[key] = {k.decode(): v.decode() for k, v in client.hgetall(name).items()}
        elif kind == b"list":
            found[key] = [item.decode() for item in client.lrange(name, 0, -1)]
        else:
            found[key] = client.get(name).decode()
    return found


def test_data_of_an_original_are_taken_over_and_go_on(
    tmp_path: Path, broker: Broker, publisher: Publisher, redis: Node
) -> None:
    payloads = shared("golden", "flow-00.kafka.deals.jsonl").read_bytes().splitlines()
    recorded = json.loads(shared("golden", "flow-00.stores.json").read_text())["redis"]
    with redis.client() as client:
        for key, value in recorded.items():
            items = value["value"]
            if value["type"] == "hash":
                client.hset(key, mapping=dict(zip(items[::2], items[1::2], strict=True)))
            elif value["type"] == "list":
                client.rpush(key, *items)
            else:
                client.set(key, items)
        before = {key: text for key, text in dump(client).items() if key != "k:offset"}
    topic = unique("takeover")
    publisher.send(topic, [(payload, {}) for payload in payloads])
    more = json.loads(payloads[-1])
    more[11] += 1
    more[0] += 1.0
    server = start_marketprice(
        tmp_path, plain(redis, broker, topic), {"timezone": "UTC", "flush_interval_s": 0.05}
    )
    with redis.client() as client:
        after = {key: text for key, text in dump(client).items() if key in before}
    assert after == before, "nothing is counted again"
    offset = publisher.send(topic, [(json.dumps(more).encode(), {"number": more[11]})])
    until_counted(server, offset)
    with asking(server) as ask, redis.client() as client:
        newest = ask("market.deals", more[1], 2, 0)
        assert newest[0]["id"] == more[11]
        assert json.loads(before[f"k:{more[1]}:deals"][0]) == newest[1]
        assert client.get("k:offset") == str(offset).encode()
    assert server.stop() == 0, server.said()


@pytest.mark.parametrize("first", ["ours", "original"])
def test_an_original_and_ours_take_over_from_each_other_again_and_again(
    first: str,
    tmp_path: Path,
    broker: Broker,
    publisher: Publisher,
    redis: Node,
    seed: int,
) -> None:
    draw = random.Random(seed)
    topic = unique("mixed")
    market = Market(publisher, topic, draw)
    keys = plain(redis, broker, topic)
    own = {"timezone": "UTC", "flush_interval_s": 0.05}
    is_original = is_zero_first = first == "original"
    for turn in range(6):
        with redis.client() as client:
            if is_original:
                # It is started while the topic stands still, and on an empty one at first.
                original = Original(MARKETS)
                start = original.load(client, int(time.time()), market.offset + 1)
                send_once(market, publisher, topic, draw)
                for record in records(broker.place, topic)[start:]:
                    assert original.take(record.offset, record.payload), record
                original.flush(client)
            else:
                server = start_marketprice(tmp_path, keys, own)
                send_once(market, publisher, topic, draw)
                until_counted(server, market.offset)
                if draw.random() < 0.5:
                    server.kill()
                else:
                    assert server.stop() == 0, server.said()
            check_stored(client, market.deals, is_zero_first=is_zero_first)
            assert client.get("k:offset") == b"%d" % market.offset, f"turn {turn}"
        is_original = not is_original


def send_once(market: Market, publisher: Publisher, topic: str, draw: random.Random) -> None:
    """Sends deals as an engine of ours or an original does; an original would count repeats."""
    messages = market.make(draw.randrange(1, 300))
    is_numbered = draw.random() < 0.5
    market.offset = publisher.send(
        topic, [(payload, headers if is_numbered else {}) for payload, headers in messages]
    )


def test_messages_that_are_no_deals_are_skipped_and_told(
    tmp_path: Path, broker: Broker, publisher: Publisher, redis: Node, seed: int
) -> None:
    topic = unique("poison")
    market = Market(publisher, topic, random.Random(seed))
    poison = [b"[" * 100_000, b"", b"{}", b"[1", b"[]", b"\xff\xfe", b'["a"]', b"x" * 100_000]
    numbers: list[bytes | None] = [None, b"", b"-1", b"x", b"9" * 5_000, b"%d" % 2**64, b"0"]
    publisher.send(topic, [(payload, {}) for payload in poison])
    market.send(5)
    publisher.send(topic, [(b"{}", {"number": number}) for number in numbers])
    poison += [b"{}"] * len(numbers)
    market.send(5)
    server = start_marketprice(tmp_path, plain(redis, broker, topic), {"timezone": "UTC"})
    until_counted(server, market.offset)
    with redis.client() as client:
        check(server, client, market.deals)
    assert f"viabtc_deals_refused_total {len(poison)}.0" in server.text("/metrics")
    assert server.stop() == 0, server.said()


def test_a_redis_that_lost_everything_is_written_anew(
    tmp_path: Path, broker: Broker, publisher: Publisher, redis: Node, seed: int
) -> None:
    topic = unique("flushall")
    market = Market(publisher, topic, random.Random(seed))
    keys, own = plain(redis, broker, topic), {"timezone": "UTC", "flush_interval_s": 0.05}
    server = start_marketprice(tmp_path, keys, own)
    market.send(200)
    until_counted(server, market.offset)
    with redis.client() as client:
        # While the service runs: it knows everything and notices at its next flush.
        client.flushall()
        market.send(20)
        until_counted(server, market.offset)
        check(server, client, market.deals)
        assert server.status()["rebuilds"] == 1
        assert server.stop() == 0, server.said()
        # While it is stopped: the topic has everything.
        client.flushall()
        server = start_marketprice(tmp_path, keys, own)
        until_counted(server, market.offset)
        check(server, client, market.deals)
    assert server.stop() == 0, server.said()


def test_a_redis_that_hangs_stops_neither_answers_nor_counting(
    tmp_path: Path, broker: Broker, publisher: Publisher, redis: Node, seed: int
) -> None:
    topic = unique("hang")
    market = Market(publisher, topic, random.Random(seed))
    server = start_marketprice(
        tmp_path, plain(redis, broker, topic), {"timezone": "UTC", "flush_interval_s": 0.05}
    )
    market.send(50)
    until_counted(server, market.offset)
    os.kill(redis.pid, 19)
    try:
        market.send(50)
        server.until(lambda: server.status()["offset"] == market.offset, DEADLINE_S)
        with asking(server) as ask:
            for name, made in market.deals.items():
                assert Decimal(ask("market.last", name)) == made[-1].price
    finally:
        os.kill(redis.pid, 18)
    until_counted(server, market.offset)
    with redis.client() as client:
        check(server, client, market.deals)
    assert server.stop() == 0, server.said()
