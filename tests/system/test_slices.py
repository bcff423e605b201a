"""Slices: what the original would load from them is what the engine holds, on both stores."""

import contextlib
import random
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from crash.following import small_model
from harness.configs import small_config
from harness.mariadb import LOG, Mariadb
from harness.model import ASK, BID, order_by_value
from harness.original import SOURCELESS, Fetch, load
from harness.processes import VIABTC, Server, start_exchange, start_matchengine
from harness.rpc import Client

KEYS: Final = {
    "test_slices_come_by_themselves_and_go_when_they_are_old": {
        "slice_interval": 1,
        "slice_keeptime": 2,
    }
}
"""Keys of the file beside those that all tests have."""

QUERY, UPDATE, LIMIT, MARKET, CANCEL, BOOK = 101, 102, 201, 202, 204, 205

USERS: Final = (1, 2, 103)


@dataclass
class Site:
    """A running engine and how its log database is asked."""

    server: Server
    fetch: Fetch
    projection: str
    day_table: str
    """Name of a day's operation log, as `strftime` writes it."""
    place: list[str]
    """Where slices go, for `viabtc journal slice`."""


@contextlib.contextmanager
def embedded(directory: Path, config: dict[str, Any]) -> Iterator[Site]:
    server = start_exchange(directory, config)
    file = directory / "data" / "history.sqlite3"
    connection = sqlite3.connect(file, timeout=30, isolation_level=None)
    site = Site(
        server,
        lambda sql: connection.execute(sql).fetchall(),
        "history",
        "operlog",
        ["--store", str(file)],
    )
    yield site
    connection.close()
    assert server.stop() == 0, server.said()


@contextlib.contextmanager
def production(directory: Path, config: dict[str, Any], mariadb: Mariadb) -> Iterator[Site]:
    server = start_matchengine(directory, {**config, **mariadb.sections()})
    site = Site(
        server,
        lambda sql: mariadb.rows(sql, LOG),
        "operlog",
        "operlog_%Y%m%d",
        ["--config", str(directory / "matchengine.json")],
    )
    yield site
    assert server.stop() == 0, server.said()


@pytest.fixture(params=["sqlite", "mariadb"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    config = {**small_config(), **KEYS.get(request.function.__name__, {})}
    if request.param == "sqlite":
        with embedded(tmp_path, config) as site:
            yield site
    else:
        with production(tmp_path, config, request.getfixturevalue("mariadb")) as site:
            yield site


class Flow:
    """Random deposits, orders and cancels that all take effect."""

    def __init__(self, client: Client, seed: int) -> None:
        self._client = client
        self._draw = random.Random(seed)
        self._deposits = 0
        self.commands = 0

    def go(self, count: int) -> None:
        for user in USERS:
            for asset in ("BTC", "USDT"):
                self._deposits += 1
                amount = f"{self._draw.randrange(10**6, 10**9)}.123456789012"
                self._apply(UPDATE, user, asset, "deposit", self._deposits, amount, {})
        opened: list[tuple[int, int]] = []
        for _ in range(count):
            user, side = self._draw.choice(USERS), self._draw.choice((ASK, BID))
            amount, price = self._number(1, 4), self._number(98, 2)
            fees = ("0.002", "0.0013")
            if opened and self._draw.random() < 0.2:  # a share
                user, order = opened.pop(self._draw.randrange(len(opened)))
                self._try(CANCEL, user, "BTCUSDT", order)
            elif self._draw.random() < 0.1:
                self._try(MARKET, user, "BTCUSDT", side, amount, "0.001", "it's")
            else:
                order = self._try(LIMIT, user, "BTCUSDT", side, amount, price, *fees, "é'\\")
                if order is not None:
                    opened.append((user, order["id"]))

    def _number(self, whole: int, decimals: int) -> str:
        return f"{whole + self._draw.randrange(3)}.{self._draw.randrange(10**decimals):0{decimals}}"

    def _apply(self, command: int, *params: Any) -> Any:
        self.commands += 1
        return self._client.result(command, *params)

    def _try(self, command: int, *params: Any) -> Any:
        """The result, None when the answer is no."""
        body = self._client.call(command, params)
        self.commands += body["error"] is None
        return body["result"]


def assert_loads_the_same(site: Site) -> None:
    """Compares what the original would load with what the engine answers."""

    def day_table(day: date) -> str:
        name = day.strftime(site.day_table)
        return name if has_table(site, name) else ""

    model = small_model()
    last = load(model, site.fetch, day_table)
    status = site.server.status()
    assert last == status["operlog_id"]
    assert (model.last_order_id, model.last_deal_id) == (status["order_id"], status["deal_id"])
    with Client(site.server.place("rpc")) as client:
        for user in USERS:
            for asset, balance in client.result(QUERY, user, "BTC", "USDT").items():
                assert Decimal(balance["available"]) == model.available[user, asset]
                assert Decimal(balance["freeze"]) == model.frozen[user, asset]
        for side in (ASK, BID):
            ours: list[dict[str, Any]] = []
            while page := client.result(BOOK, "BTCUSDT", side, len(ours), 101)["orders"]:
                ours += map(order_by_value, page)
            theirs = [order.shown() for order in model.sides[side]]
            for mine, other in zip(ours, theirs, strict=True):
                if other["source"] == SOURCELESS:
                    other["source"] = mine["source"]
                assert mine == other


def has_table(site: Site, name: str) -> bool:
    return name in tables_like(site, name)


def tables_like(site: Site, start: str) -> list[str]:
    if site.projection == "history":
        sql = "SELECT name FROM sqlite_master WHERE type = 'table'"
    else:
        sql = "SHOW TABLES"
    return sorted(row[0] for row in site.fetch(sql) if row[0].startswith(start))


def times(site: Site) -> list[int]:
    return [int(time) for (time,) in site.fetch("SELECT time FROM slice_history ORDER BY id")]


def make_slice(site: Site) -> None:
    """Asks for a slice as an operator does, and waits for it."""
    # The times of two slices differ: a second is the name of a slice's tables.
    before = max(times(site), default=0)
    site.server.until(lambda: time.time() >= before + 1)
    with socket.create_connection(site.server.place("console"), 10) as connection:
        connection.sendall(b"makeslice\n")
        assert connection.recv(100) == b"OK\n"
    site.server.until(lambda: max(times(site), default=0) > before)


def test_slice_and_log_lead_to_the_state_of_the_engine(site: Site, seed: int) -> None:
    with Client(site.server.place("rpc")) as client:
        flow = Flow(client, seed)
        for count in (300, 200):
            flow.go(count)
            make_slice(site)
        # What comes behind the slice is in the log only.
        flow.go(100)
        is_written = f"viabtc_{site.projection}_sequence"
        site.server.until(lambda: site.server.metric(is_written) == flow.commands)
        assert_loads_the_same(site)
        rows = site.fetch("SELECT end_oper_id FROM slice_history ORDER BY id")
        assert int(rows[0][0]) < int(rows[1][0]) < flow.commands


def test_slices_come_by_themselves_and_go_when_they_are_old(site: Site) -> None:
    with Client(site.server.place("rpc")) as client:
        client.result(UPDATE, 1, "BTC", "deposit", 1, "1", {})
    site.server.until(lambda: bool(times(site)))
    first = times(site)[0]
    site.server.until(lambda: first not in times(site) and bool(times(site)), 60)

    def is_tidy() -> bool:
        kept = times(site)
        names = sorted(f"slice_{kind}_{time}" for time in kept for kind in ("order", "balance"))
        there = [name for name in tables_like(site, "slice_") if name.rpartition("_")[2].isdigit()]
        states = [int(time) for (time,) in site.fetch("SELECT DISTINCT time FROM viabtc_slice")]
        return there == names and sorted(states) == kept

    # A slice that is being made has tables and does not count yet.
    site.server.until(is_tidy)


def test_what_an_unfinished_slice_left_is_removed(site: Site) -> None:
    with Client(site.server.place("rpc")) as client:
        client.result(UPDATE, 1, "BTC", "deposit", 1, "1", {})
    make_slice(site)
    (done,) = times(site)
    # As a child that was killed before it registered its slice.
    values = f"({done - 9}, 1, 0, 'x', 'y')"
    site.fetch(f"INSERT INTO viabtc_slice VALUES {values}")  # noqa: S608
    site.fetch(f"CREATE TABLE slice_order_{done - 9} (id INTEGER)")
    make_slice(site)
    assert not has_table(site, f"slice_order_{done - 9}")
    states = {int(time) for (time,) in site.fetch("SELECT time FROM viabtc_slice")}
    assert states == set(times(site))


def test_another_engines_slice_does_not_count(tmp_path: Path, mariadb: Mariadb) -> None:
    with production(tmp_path, small_config(), mariadb) as site:
        with Client(site.server.place("rpc")) as client:
            client.result(UPDATE, 1, "BTC", "deposit", 1, "1", {})
        make_slice(site)
        before = times(site)
        data = str(tmp_path / "data")
        arguments = ["journal", "slice", data, "--time", "1000", "--epoch", "77", *site.place]
        done = subprocess.run(
            [*VIABTC, *arguments], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 1
        assert "another engine writes the log" in done.stderr
        assert times(site) == before
        assert not has_table(site, "slice_order_1000")
