"""Service, broker and master of `viabtc marketprice` die under load: each deal counts exactly once.

How often is said by `VIABTC_MARKETPRICE_KILLS`, `VIABTC_BROKER_KILLS` and `VIABTC_FAILOVERS`; the
longest run shows its figures with `pytest -rP`.
"""

import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Self

from edges.test_marketprice import DEADLINE_S, Market, check, plain, unique, until_counted
from harness.kafka import Broker, Publisher
from harness.processes import spawn_marketprice, start_marketprice
from harness.redis_cluster import MASTER, Cluster, Node

KILLS: Final = int(os.environ.get("VIABTC_MARKETPRICE_KILLS", "60"))
BROKER_KILLS: Final = int(os.environ.get("VIABTC_BROKER_KILLS", "5"))
FAILOVERS: Final = int(os.environ.get("VIABTC_FAILOVERS", "5"))

LOAD_PAUSE_S: Final = 0.05
"""Between two sends of the load: about 300 deals a second, which any machine can follow."""

LOAD_DEADLINE_S: Final = 120.0
"""Longest send: a broker that was killed is back long before."""


def behind_sentinels(cluster: Cluster, broker: Broker, topic: str) -> dict[str, Any]:
    return {
        "deals": {"brokers": broker.place, "topic": topic},
        "redis": {"name": MASTER, "addr": cluster.places},
    }


def test_a_master_that_lacks_the_last_transactions_is_written_anew(
    tmp_path: Path, broker: Broker, publisher: Publisher, redis: Node, seed: int
) -> None:
    topic = unique("stale")
    market = Market(publisher, topic, random.Random(seed))
    keys, own = plain(redis, broker, topic), {"timezone": "UTC", "flush_interval_s": 0.05}
    server = start_marketprice(tmp_path, keys, own)

    def go_on() -> None:
        market.send(150)
        until_counted(server, market.offset)

    go_on()
    redis.go_back(go_on)
    # The service knows more than its master, and finds out without another deal.
    server.until(lambda: server.status()["rebuilds"] == 1, DEADLINE_S)
    with redis.client() as client:
        check(server, client, market.deals)
        go_on()
        check(server, client, market.deals)

    def go_on_and_die() -> None:
        go_on()
        server.kill()

    # Nobody is there who knows more: the topic does.
    redis.go_back(go_on_and_die)
    with redis.client() as client:
        assert int(client.get("k:offset") or 0) < market.offset
        server = start_marketprice(tmp_path, keys, own)
        go_on()
        check(server, client, market.deals)
        assert server.status()["rebuilds"] == 0
    assert server.stop() == 0, server.said()


class Load:
    """Deals that are sent in a thread of their own, without a pause, while a block runs."""

    def __init__(self, market: Market, draw: random.Random) -> None:
        self._market, self._draw = market, draw
        self._is_over = threading.Event()
        self._thread = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        self._sending = self._thread.submit(self._send)
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        # What failed there fails here.
        self._sending.result(LOAD_DEADLINE_S)
        self._thread.shutdown()

    def _send(self) -> None:
        while not self._is_over.wait(LOAD_PAUSE_S):
            self._market.send(self._draw.randrange(1, 40))


def test_a_deal_counts_once_however_often_service_broker_and_master_are_killed_under_load(
    tmp_path: Path, broker: Broker, publisher: Publisher, cluster: Cluster, seed: int
) -> None:
    draw = random.Random(seed)
    topic = unique("kills")
    market = Market(publisher, topic, random.Random(draw.random()))
    market.send(10)
    keys = behind_sentinels(cluster, broker, topic)
    own = {"timezone": "UTC", "flush_interval_s": 0.05}
    faults = ["service"] * KILLS + ["broker"] * BROKER_KILLS + ["master"] * FAILOVERS
    draw.shuffle(faults)
    server = spawn_marketprice(tmp_path, keys, own)
    with Load(market, random.Random(draw.random())):
        for fault in faults:
            if fault == "service":
                # At any moment of its start and its work.
                assert server.is_running(draw.choice([0.0, 0.3, 0.6, 0.9, 1.2])), server.said()
                server.kill()
                server = spawn_marketprice(tmp_path, keys, own)
            elif fault == "broker":
                broker.kill()
                broker.start()
            else:
                cluster.fail_over()
            assert server.is_running(), server.said()
    server.until_ready()
    market.send(100)
    until_counted(server, market.offset)
    count = sum(map(len, market.deals.values()))
    with cluster.master().client() as client:
        check(server, client, market.deals)
    assert server.stop() == 0, server.said()
    print(  # noqa: T201 - the figures of a long run
        f"{KILLS} kills of marketprice, {BROKER_KILLS} of the broker, {FAILOVERS} failovers:"
        f" {count} deals, each counted once"
    )
