"""Rows of history and operation log to a real MariaDB: `.venv/bin/python bench/rows.py`.

An engine trades without a database first; then both projections follow what it did, while it goes
on trading. The server, a process of the same machine with its syncs on, is started and stopped
here.
"""

import argparse
import asyncio
import itertools
import json
import os
import random
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import structlog
import uvloop

from viabtc import _core
from viabtc.edges.mysql import MysqlSettings
from viabtc.edges.store import Holder
from viabtc.matchengine.databases import open_projections
from viabtc.matchengine.settings import Databases

ROOT: Final = Path(__file__).parents[1]

TARGET: Final = 80_000
"""Rows per second beside a trading engine. Source: the figures of the design."""

USERS: Final = 1_000
CALLERS: Final = 64
"""Threads that trade: each waits for its answer, and many share a sync."""

LOOK_S: Final = 0.02
DEADLINE_S: Final = 600.0
"""By then the rows that waited have been written, or never will be."""

UPDATE, LIMIT = 102, 201


def requests(seed: int) -> Iterator[tuple[int, bytes]]:
    """Funds for every user, then limit orders of which about half take."""
    draw = random.Random(seed)
    for user in range(1, USERS + 1):
        for asset in ("BTC", "USDT"):
            params: list[Any] = [user, asset, "bench", 1, "1000000", {}]
            yield UPDATE, json.dumps(params).encode()
    while True:
        price = f"{draw.randrange(9_900, 10_101) / 100:.2f}"
        order = (draw.randrange(1, USERS + 1), "BTCUSDT", draw.choice((1, 2)), "0.01", price)
        yield LIMIT, json.dumps([*order, "0.002", "0.001", "bench"]).encode()


class Trading:
    """Many callers of one engine."""

    def __init__(self, engine: _core.Engine, flow: Iterator[tuple[int, bytes]]) -> None:
        self._engine = engine
        self._flow = flow
        self._lock = threading.Lock()

    def trade(self, count: int | None, stop: threading.Event) -> int:
        """Sends `count` requests, or until `stop` is set; how many."""
        for number in itertools.count():
            if stop.is_set() or number == count:
                return number
            with self._lock:
                command, params = next(self._flow)
            self._engine.call(command, params)
        return 0

    def in_threads(self, pool: ThreadPoolExecutor, count: int | None, stop: threading.Event) -> Any:
        return [pool.submit(self.trade, count, stop) for _ in range(CALLERS)]


def cpu_s(pid: int) -> float:
    """CPU seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(engine: _core.Engine, server: Any, databases: Databases, orders: int) -> None:
    log = structlog.get_logger()
    trading = Trading(engine, requests(1))
    with ThreadPoolExecutor(CALLERS) as pool:
        for future in trading.in_threads(pool, (orders + 2 * USERS) // CALLERS, threading.Event()):
            await asyncio.wrap_future(future)
        backlog = engine.metrics()["durable_sequence"]
        print(f"{backlog:,} commands wait")
        stop = threading.Event()
        traders = trading.in_threads(pool, None, stop)
        own = resource.getrusage(resource.RUSAGE_SELF)
        started, server_cpu = time.perf_counter(), cpu_s(server.pid)
        async with open_projections(engine, databases, log, Holder("bench")) as projections:
            # Until all that waited is there: what came meanwhile goes on.
            async with asyncio.timeout(DEADLINE_S):
                while min(one.reached() for one in projections) < backlog:  # noqa: ASYNC110
                    await asyncio.sleep(LOOK_S)
            wall = time.perf_counter() - started
            rows = sum(projection.figures()["rows_total"] for projection in projections)
            traded = engine.metrics()["durable_sequence"] - backlog
            server_s = cpu_s(server.pid) - server_cpu
            now = resource.getrusage(resource.RUSAGE_SELF)
            stop.set()
            for future in traders:
                await asyncio.wrap_future(future)
    own_s = now.ru_utime + now.ru_stime - own.ru_utime - own.ru_stime
    mark = "met" if rows / wall >= TARGET else "missed"
    print(
        f"{rows:,} rows, {rows / wall:,.0f}/s beside {traded / wall:,.0f} commands/s;"
        f" {rows / server_s:,.0f} per CPU-second of the server, {rows / own_s:,.0f} of ours;"
        f" target {TARGET:,}/s {mark}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=40_000)
    orders = parser.parse_args().orders
    sys.path.insert(0, str(ROOT / "tests"))
    from harness.configs import small_config
    from harness.mariadb import HISTORY, LOG, PASSWORD, USER, Mariadb, make_schema

    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        server = Mariadb(directory / "mariadb", flush_method="O_DIRECT")
        try:
            server.start()
            make_schema(directory, server)
            places = (
                MysqlSettings("127.0.0.1", server.port, USER, PASSWORD, database)
                for database in (HISTORY, LOG)
            )
            config = {key: small_config()[key] for key in ("assets", "markets")}
            engine = _core.Engine(json.dumps(config), str(directory / "data"))
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(measure(engine, server, Databases(*places), orders))
            engine.stop()
        finally:
            server.close()


if __name__ == "__main__":
    main()
