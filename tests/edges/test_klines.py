"""Tools for market data: verify, rebuild, and the import of past deals."""

import json
import random
import subprocess
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from edges.test_marketprice import (
    MARKETS,
    Market,
    check,
    dump,
    plain,
    unique,
    until_counted,
)
from harness.candles import Deal, candles, filled, numbers
from harness.configs import three_markets
from harness.http import Connection
from harness.kafka import Broker, Publisher
from harness.processes import VIABTC, start_exchange, start_marketprice
from harness.redis_cluster import Node
from harness.site import listing

CANDLES: Final = "time,market,interval,open,close,high,low,volume,deal"

OWN: Final = {"timezone": "UTC", "flush_interval_s": 0.05}


def tool(*arguments: str | Path) -> tuple[int, str]:
    """Exit code and everything that was said."""
    done = subprocess.run(
        [*VIABTC, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout + done.stderr


def past_deals(draw: random.Random, end: float) -> dict[str, list[Deal]]:
    """Deals of the days before `end`, numbered from far below the others."""
    deals: dict[str, list[Deal]] = {}
    for market in MARKETS:
        times = sorted(round(end - draw.random() * 5 * 86_400, 6) for _ in range(200))
        deals[market] = [
            Deal(
                number + 1,
                at,
                Decimal(draw.randrange(1, 10**6)).scaleb(-2),
                Decimal(draw.randrange(1, 10**6)).scaleb(-8),
                draw.choice(["sell", "buy"]),
            )
            for number, at in enumerate(times)
        ]
    return deals


def write_csv(file: Path, deals: dict[str, list[Deal]]) -> None:
    rows = ["time,market,price,amount,side,id"]
    rows += [
        f"{deal.time:.6f},{market},{deal.price:f},{deal.amount:f},{deal.side},{deal.id}"
        for market, made in deals.items()
        for deal in made
    ]
    file.write_text("\n".join(rows) + "\n")


def test_a_damaged_candle_is_found_and_mended(
    tmp_path: Path, broker: Broker, publisher: Publisher, redis: Node, seed: int
) -> None:
    topic = unique("klines")
    market = Market(publisher, topic, random.Random(seed))
    market.send(300)
    keys = plain(redis, broker, topic)
    server = start_marketprice(tmp_path, keys, OWN)
    until_counted(server, market.offset)
    config = tmp_path / "marketprice.json"
    code, said = tool("klines", "verify", config)
    assert code == 0, said
    code, said = tool("klines", "rebuild", config)
    assert code == 1
    assert "stop marketprice first" in said
    assert server.stop() == 0, server.said()
    with redis.client() as client:
        key = f"k:{MARKETS[0]}:1m"
        field = client.hkeys(key)[0]
        client.hset(key, field, json.dumps(["1", "1", "1", "1", "1", "1"]))
        code, said = tool("klines", "verify", config)
        assert code == 1
        assert f"{MARKETS[0]} 1m {field.decode()}" in json.loads(said)["differences"][0]
        code, said = tool("klines", "rebuild", config)
        assert code == 0, said
        code, said = tool("klines", "verify", config)
        assert code == 0, said
        server = start_marketprice(tmp_path, keys, OWN)
        market.send(10)
        until_counted(server, market.offset)
        check(server, client, market.deals)
    assert server.stop() == 0, server.said()


def test_first_candles_at_0_are_verified_and_written_anew_as_they_were(
    tmp_path: Path, broker: Broker, publisher: Publisher, redis: Node, seed: int
) -> None:
    topic = unique("zero")
    market = Market(publisher, topic, random.Random(seed))
    config = tmp_path / "marketprice.json"
    # One market is known before its first deal, the other is heard of by it.
    with listing(MARKETS[:1]) as door, redis.client() as client:
        keys = {**plain(redis, broker, topic), "accesshttp": door}
        server = start_marketprice(tmp_path, keys, {**OWN, "first_candle_zero": True})
        server.until(lambda: server.status()["markets"] == 1)
        market.send(100)
        until_counted(server, market.offset)
        assert server.stop() == 0, server.said()
        stored = dump(client)
        days = [json.loads(min(stored[f"k:{name}:1d"].items())[1]) for name in MARKETS]
        assert days[0][0] == "0"
        assert Decimal(days[1][0]) == market.deals[MARKETS[1]][0].price
        code, said = tool("klines", "verify", config)
        assert code == 0, said
        client.flushall()
        code, said = tool("klines", "rebuild", config)
        assert code == 0, said
        assert dump(client) == stored


def test_past_deals_come_before_those_of_the_topic(
    tmp_path: Path, broker: Broker, publisher: Publisher, redis: Node, seed: int
) -> None:
    draw = random.Random(seed)
    topic = unique("import")
    market = Market(publisher, topic, draw)
    keys = plain(redis, broker, topic)
    market.send(1)
    server = start_marketprice(tmp_path, keys, OWN)
    config = tmp_path / "marketprice.json"
    today = time.time() // 86_400 * 86_400 - 86_400
    past = past_deals(draw, today)
    file = tmp_path / "deals.csv"
    write_csv(file, past)
    code, said = tool("import-deals", file, "--config", config)
    assert code == 1
    assert "stop marketprice first" in said
    assert server.stop() == 0, server.said()
    with redis.client() as client:
        client.flushall()
        code, said = tool("import-deals", file, "--config", config)
        assert code == 0, said
        server = start_marketprice(tmp_path, keys, OWN)
        market.send(200)
        until_counted(server, market.offset)
        everything = {name: [*past[name], *made] for name, made in market.deals.items()}
        check(server, client, everything)
        assert server.stop() == 0, server.said()
        code, said = tool("klines", "verify", config)
        assert code == 0, said
        code, said = tool("klines", "rebuild", config)
        assert code == 0, said
        code, said = tool("klines", "verify", config)
        assert code == 0, said
        code, said = tool("import-deals", file, "--config", config)
        assert code == 1
        assert "only older ones can be added" in said


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("time,market\n1,A\n", "lacks the columns amount, price, side"),
        ("time,market,price,amount,side\nx,A,1,1,buy\n", "line 2"),
        ("time,market,price,amount,side\n1.5,A,1,1,hold\n", "line 2"),
        ("time,market,price,amount,side\n1.5,A,1,1,buy\n2.5,A,-1,1,buy\n", "line 3"),
        ("time,market,open\n1,A,1\n", "lacks the columns close, deal, high, interval, low, volume"),
        (f"{CANDLES}\n60,A,60,1,1,1,1,1,1\n0.5,A,60,1,1,1,1,1,1\n", "line 3"),
        (f"{CANDLES}\n60,A,120,1,1,1,1,1,1\n", "line 2"),
        (f"{CANDLES}\n120,A,60,1,1,1,1,1,1\n61,A,60,1,1,1,1,1,1\n", "line 3"),
        (f"{CANDLES}\n60,A,60,1,1,1,1,1,1\n60,A,60,1,1,1,1,1,1\n", "line 3"),
        (f"{CANDLES}\n60,A,60,1,3,2,1,1,1\n", "line 2"),
        (f"{CANDLES}\n60,A,60,1,1,1,1,x,1\n", "line 2"),
        (f"{CANDLES}\n60,A,60,1,1,1\n", "line 2"),
        (f"{CANDLES}\n60\n", "line 2"),
    ],
)
def test_a_file_that_is_none_changes_nothing(tmp_path: Path, text: str, problem: str) -> None:
    file, data = tmp_path / "deals.csv", tmp_path / "data"
    file.write_text(text)
    data.mkdir()
    code, said = tool("import-deals", file, "--data", data)
    assert code == 1
    assert problem in said


def test_past_deals_are_added_to_an_exchange_of_one_process(tmp_path: Path, seed: int) -> None:
    past = past_deals(random.Random(seed), time.time() // 86_400 * 86_400 - 86_400)
    file, data = tmp_path / "deals.csv", tmp_path / "data"
    write_csv(file, past)
    data.mkdir()
    code, said = tool("import-deals", file, "--data", data, "--timezone", "UTC")
    assert code == 0, said
    server = start_exchange(tmp_path)
    code, said = tool("import-deals", file, "--data", data)
    assert code == 1
    assert "an engine uses" in said
    with Connection(server.place("http")) as door:
        for market, made in past.items():
            rows = candles(made, 3600)
            start = min(rows)
            answer: list[Any] = numbers(door.result("market.kline", market, start, start, 3600))
            assert answer == [[start, *rows[start]]]
            assert Decimal(door.result("market.last", market)) == made[-1].price
            newest = door.result("market.deals", market, 3, 0)
            assert [row["id"] for row in newest] == [deal.id for deal in made[:-4:-1]]
    assert server.stop() == 0, server.said()


def test_past_candles_are_added_and_longer_ones_are_made_of_them(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    past = past_deals(draw, time.time() // 86_400 * 86_400 - 86_400)
    rows = [
        ",".join([str(start), market, "60", *(f"{number:f}" for number in candle)])
        for market, made in past.items()
        for start, candle in candles(made, 60).items()
    ]
    draw.shuffle(rows)
    file, data = tmp_path / "candles.csv", tmp_path / "data"
    file.write_text("\n".join([CANDLES, *rows]) + "\n")
    data.mkdir()
    code, said = tool("import-deals", file, "--data", data, "--timezone", "UTC")
    assert code == 0, said
    server = start_exchange(tmp_path, {**three_markets(), "viabtc": {"timezone": "UTC"}})
    with Connection(server.place("http")) as door:
        for market, made in past.items():
            for step in (60, 3600, 86_400):
                wanted = candles(made, step)
                start, end = min(wanted), max(wanted)
                answer = numbers(door.result("market.kline", market, start, end, step))
                assert answer == filled(wanted, start, end, step), (market, step)
            assert Decimal(door.result("market.last", market)) == made[-1].price
            assert door.result("market.deals", market, 3, 0) == []
    assert server.stop() == 0, server.said()
    code, said = tool("import-deals", file, "--data", data, "--timezone", "UTC")
    assert code == 1
    assert "only older ones can be added" in said
