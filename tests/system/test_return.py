"""Back to the original and over again: its entries are noticed, and taken over a second time."""

import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from harness.configs import small_config
from harness.mariadb import HISTORY, LOG, Mariadb
from harness.processes import Server, migrate, spawn_matchengine, start_matchengine
from harness.rpc import Client

QUERY, UPDATE, LIMIT = 101, 102, 201

USER: Final = 1

ANSWER_S: Final = 45.0
"""Less than the minute that a query of a database may take."""


def config_of(mariadb: Mariadb) -> dict[str, Any]:
    return {**small_config(), **mariadb.sections()}


def deposit(client: Client, number: int) -> None:
    client.result(UPDATE, USER, "BTC", "deposit", number, "1", {})


def until_written(server: Server) -> None:
    for name in ("operlog", "history"):
        metric = f"viabtc_{name}_lag_commands"
        server.until(lambda: server.metric(metric) == 0)  # noqa: B023
        assert server.status()["projections"][name]["problem"] is None


def operlog(mariadb: Mariadb) -> str:
    """The table of today's entries."""
    return max(name for name in mariadb.tables(LOG) if name.startswith("operlog_2"))


def entries(mariadb: Mariadb) -> list[int]:
    sql = f"SELECT id FROM {operlog(mariadb)} ORDER BY id"  # noqa: S608
    return [int(number) for (number,) in mariadb.rows(sql, LOG)]


def go_on_as_the_original(mariadb: Mariadb) -> None:
    """One deposit, as an original that redid the log would write it."""
    number = max(entries(mariadb)) + 1
    params = [USER, "BTC", "deposit", 1_000 + number, "5", {"id": 1_000 + number}]
    detail = json.dumps({"method": "update_balance", "params": params})
    values = f"{number}, {time.time():f}, '{detail}'"
    mariadb.run(f"INSERT INTO {operlog(mariadb)} VALUES ({values})", LOG)  # noqa: S608


def first_life(directory: Path, mariadb: Mariadb, own: dict[str, Any]) -> None:
    """Ten deposits and an order, all of them in the databases."""
    directory.mkdir()
    server = start_matchengine(directory, config_of(mariadb), own)
    with Client(server.place("rpc")) as client:
        for number in range(1, 11):
            deposit(client, number)
        client.result(LIMIT, USER, "BTCUSDT", 1, "1", "100", "0", "0", "first")
    until_written(server)
    assert server.stop() == 0, server.said()


@pytest.mark.parametrize("durability", ["local", "operlog"])
def test_an_engine_does_not_go_on_from_where_an_original_has_gone_on(
    durability: str, tmp_path: Path, mariadb: Mariadb
) -> None:
    own = {"durability": durability}
    first_life(tmp_path / "one", mariadb, own)
    go_on_as_the_original(mariadb)
    server = spawn_matchengine(tmp_path / "one", config_of(mariadb), own)
    try:
        assert server.process.wait(60) == 1, server.said()
        said = server.said()
    finally:
        server.kill()
    assert "an original went on" in said, said
    assert "viabtc migrate" in said
    assert mariadb.rows("SELECT COUNT(*) FROM viabtc_dead_letter", LOG) == [["0"]]


def test_a_start_does_not_wait_long_for_a_database(tmp_path: Path, mariadb: Mariadb) -> None:
    first_life(tmp_path / "one", mariadb, {})
    mariadb.freeze()
    try:
        begun = time.monotonic()
        server = start_matchengine(tmp_path / "one", config_of(mariadb))
        assert time.monotonic() - begun < ANSWER_S
        with Client(server.place("rpc")) as client:
            deposit(client, 11)
    finally:
        mariadb.thaw()
    until_written(server)
    assert server.stop() == 0, server.said()


def test_an_engine_whose_numbers_were_given_by_somebody_else_ends(
    tmp_path: Path, mariadb: Mariadb
) -> None:
    """What a start cannot see: the database was away, or the other one came later."""
    directory = tmp_path / "one"
    directory.mkdir()
    server = start_matchengine(directory, config_of(mariadb))
    try:
        with Client(server.place("rpc")) as client:
            deposit(client, 1)
            until_written(server)
            go_on_as_the_original(mariadb)
            deposit(client, 2)
        assert server.process.wait(60) != 0
    finally:
        server.kill()
    assert entries(mariadb) == [1, 2]
    assert mariadb.rows("SELECT COUNT(*) FROM viabtc_dead_letter", LOG) == [["0"]]


def original_file(directory: Path, mariadb: Mariadb) -> Path:
    """The file of an original that is to be taken over into an empty directory."""
    directory.mkdir()
    file = directory / "original.json"
    log = {"path": str(directory / "log"), "flag": "error"}
    own = {"data": str(directory / "data")}
    file.write_text(json.dumps({**config_of(mariadb), "log": log, "cli": "", "viabtc": own}))
    return file


@pytest.mark.parametrize("durability", ["local", "operlog"])
def test_an_original_that_went_on_is_taken_over_again(
    durability: str, tmp_path: Path, mariadb: Mariadb
) -> None:
    own = {"durability": durability}
    first_life(tmp_path / "one", mariadb, own)
    go_on_as_the_original(mariadb)
    two = tmp_path / "two"
    code, said = migrate(original_file(two, mariadb))
    assert code == 0, said
    assert "behind command 11" in said
    # It starts, writes both databases, and starts again.
    for life in (1, 2):
        server = start_matchengine(two, config_of(mariadb), own)
        with Client(server.place("rpc")) as client:
            balance = client.result(QUERY, USER, "BTC")["BTC"]
            assert Decimal(balance["available"]) == 10 + 5 - 1 + life - 1
            assert Decimal(balance["freeze"]) == 1
            deposit(client, 2_000 + life)
        until_written(server)
        assert server.status()["sequence"] == 11 + life
        assert server.stop() == 0, server.said()
    assert entries(mariadb) == list(range(1, 15))
    # The original wrote its own history; ours is there once, of both lives.
    changes = mariadb.rows("SELECT COUNT(*) FROM balance_history_1", HISTORY)
    assert changes == [["12"]]
    # The first directory stays refused.
    server = spawn_matchengine(tmp_path / "one", config_of(mariadb), own)
    try:
        assert server.process.wait(60) == 1, server.said()
    finally:
        server.kill()


def test_nothing_is_taken_over_beside_an_engine_that_writes(
    tmp_path: Path, mariadb: Mariadb
) -> None:
    first_life(tmp_path / "one", mariadb, {})
    # As one that goes on renewing its lease.
    holder = "`holder` = 'somebody', `seen` = UTC_TIMESTAMP(6) + INTERVAL 1 HOUR"
    mariadb.run(f"UPDATE viabtc_lease SET {holder}", HISTORY)  # noqa: S608
    file = original_file(tmp_path / "two", mariadb)
    code, said = migrate(file)
    assert code == 1
    assert "the engine somebody writes history of" in said, said
    # Nothing was begun, so that it can be done once that one has ended.
    mariadb.run("UPDATE viabtc_lease SET `holder` = ''", HISTORY)
    code, said = migrate(file)
    assert code == 0, said
