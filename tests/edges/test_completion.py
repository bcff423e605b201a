"""Deals that the topic lost come from the history database, each counted once."""

import random
from pathlib import Path
from typing import Any, Final

from edges.test_klines import tool
from edges.test_marketprice import DEADLINE_S, MARKETS, Market, check, plain, unique, until_counted
from harness.kafka import Broker, Publisher
from harness.mariadb import HISTORY, Mariadb
from harness.processes import spawn_marketprice, start_marketprice
from harness.redis_cluster import Node

SHARDS: Final = 100

SIDES: Final = {"sell": 1, "buy": 2}


def own(mariadb: Mariadb) -> dict[str, Any]:
    return {"timezone": "UTC", "flush_interval_s": 0.05, "db_history": mariadb.section(HISTORY)}


def write_history(mariadb: Mariadb, market: Market, draw: random.Random, after: int = 0) -> None:
    """Writes the deals behind an id as `viabtc matchengine` does: a row of each user."""
    rows: dict[int, list[str]] = {}
    deals = [(deal, name) for name in MARKETS for deal in market.deals[name] if deal.id > after]
    for deal, name in sorted(deals, key=lambda pair: pair[0].id):
        side = SIDES[deal.side]
        # A trade with oneself has both rows in one table.
        users = draw.randrange(1, 300), draw.randrange(1, 300)
        for user, role, own_side in ((users[0], 1, 3 - side), (users[1], 2, side)):
            rows.setdefault(user % SHARDS, []).append(
                f"(NULL, {deal.time:.6f}, {user}, '{name}', {deal.id}, 1, 2, {own_side}, {role},"
                f" {deal.price:f}, {deal.amount:f}, 0, 0, 0)"
            )
    statements = [
        f"INSERT INTO user_deal_history_{shard} VALUES {', '.join(values)}"  # noqa: S608
        for shard, values in rows.items()
    ]
    mariadb.run(";".join(["START TRANSACTION", *statements, "COMMIT"]), HISTORY)


def test_a_gap_in_the_topic_is_filled_when_the_history_has_it(
    tmp_path: Path,
    broker: Broker,
    publisher: Publisher,
    redis: Node,
    mariadb: Mariadb,
    seed: int,
) -> None:
    draw = random.Random(seed)
    topic = unique("gap")
    market = Market(publisher, topic, draw)
    market.send(300)
    # Enough rows that tables are entered by bisection.
    write_history(mariadb, market, draw)
    server = start_marketprice(tmp_path, plain(redis, broker, topic), own(mariadb))
    until_counted(server, market.offset)
    market.make(120)
    market.send(50)
    server.until(lambda: "history" in server.status()["topic"], DEADLINE_S)
    assert server.status()["stored_offset"] < market.offset
    write_history(mariadb, market, draw, after=300)
    until_counted(server, market.offset)
    with redis.client() as client:
        check(server, client, market.deals)
        assert server.metric("viabtc_deals_completed_total") == 120
        assert server.metric("viabtc_deals_missing_total") == 0
        # What the history lacks too is said, and does not stop the rest.
        market.make(1)
        for made in market.deals.values():
            made[:] = [deal for deal in made if deal.id != 471]
        write_history(mariadb, market, draw, after=470)
        market.send(9)
        write_history(mariadb, market, draw, after=471)
        until_counted(server, market.offset)
        check(server, client, market.deals)
        assert server.metric("viabtc_deals_missing_total") == 1
    assert server.stop() == 0, server.said()


def test_lost_market_data_come_back_from_history_and_topic(
    tmp_path: Path,
    broker: Broker,
    publisher: Publisher,
    redis: Node,
    mariadb: Mariadb,
    seed: int,
) -> None:
    draw = random.Random(seed)
    topic = unique("trimmed")
    market = Market(publisher, topic, draw)
    market.send(3_000)
    keys = plain(redis, broker, topic)
    write_history(mariadb, market, draw)
    publisher.trim(topic, market.offset - 200)
    server = spawn_marketprice(tmp_path, keys, own(mariadb))
    server.until_ready()
    until_counted(server, market.offset)
    with redis.client() as client:
        check(server, client, market.deals)
        assert server.stop() == 0, server.said()
        code, said = tool("klines", "verify", tmp_path / "marketprice.json")
        assert code == 0, said
        client.flushall()
        code, said = tool("klines", "rebuild", tmp_path / "marketprice.json")
        assert code == 0, said
        server = start_marketprice(tmp_path, keys, own(mariadb))
        check(server, client, market.deals)
        assert server.stop() == 0, server.said()
        # Everything is gone, also what the topic had.
        client.flushall()
        publisher.trim(topic, market.offset + 1)
        server = spawn_marketprice(tmp_path, keys, own(mariadb))
        server.until_ready()
        market.send(20)
        write_history(mariadb, market, draw, after=3_000)
        until_counted(server, market.offset)
        check(server, client, market.deals)
        for _ in range(3):
            # Deaths while the history is read.
            server.kill()
            client.flushall()
            server = spawn_marketprice(tmp_path, keys, own(mariadb))
            server.is_running(draw.choice([0.8, 1.0, 1.2]))
        server.until_ready()
        market.send(20)
        write_history(mariadb, market, draw, after=3_020)
        until_counted(server, market.offset)
        check(server, client, market.deals)
    assert server.stop() == 0, server.said()
