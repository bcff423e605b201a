"""The recorded history on the embedded store and on MariaDB: every answer, every row of a table."""

import sqlite3
import time
from pathlib import Path
from typing import Any, Final

import pytest

from golden.history import play, until_written
from golden.stores import Tables, assert_same_tables, definitions, tables
from golden.transcript import SCENARIOS
from harness.http import Connection
from harness.mariadb import HISTORY, LOG, Mariadb
from harness.processes import (
    start_accesshttp,
    start_exchange,
    start_matchengine,
    start_readhistory,
)

FAMILIES: Final = (
    "balance_history",
    "order_history",
    "order_detail",
    "deal_history",
    "user_deal_history",
    "operlog",
)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_embedded_store_holds_and_answers_what_was_recorded(
    scenario: str, tmp_path: Path, golden_config: dict[str, Any]
) -> None:
    server = start_exchange(tmp_path, golden_config)
    with Connection(server.place("http")) as connection:
        play(connection, scenario, lambda: until_written(server, "history"))
    assert_same_tables(embedded_tables(tmp_path / "data" / "history.sqlite3"), tables(scenario))
    assert server.stop() == 0, server.said()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_mariadb_holds_and_answers_what_was_recorded(
    scenario: str, tmp_path: Path, golden_config: dict[str, Any], mariadb: Mariadb
) -> None:
    engine = start_matchengine(tmp_path, {**golden_config, **mariadb.sections()})
    reader = start_readhistory(tmp_path, mariadb.section(HISTORY))
    services = {"matchengine": [engine.place("rpc")], "readhistory": [reader.place("rpc")]}
    door = start_accesshttp(tmp_path, services)
    with Connection(door.place("http")) as connection:
        play(connection, scenario, lambda: until_written(engine, "history", "operlog"))
    for server in (door, reader, engine):
        assert server.stop() == 0, server.said()
    assert_same_tables(mariadb_tables(mariadb), tables(scenario))


def test_the_tables_are_defined_as_recorded(mariadb: Mariadb) -> None:
    recorded = definitions("limits")
    assert len(recorded) == 9
    for name, text in recorded.items():
        database, _, table = name.partition(".")
        ((_, ours),) = [
            line.split("\t", 1) for line in [mariadb.run(f"SHOW CREATE TABLE {table}", database)]
        ]
        assert ours.strip() == text, name
        if database == HISTORY:
            assert f"{table.removesuffix('_example')}_99" in mariadb.tables(database)


def embedded_tables(path: Path) -> Tables:
    """Rows of the embedded store by the original's table."""
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    found: dict[str, list[dict[str, str]]] = {}
    for family in FAMILIES:
        for row in connection.execute(f"SELECT * FROM {family} ORDER BY id"):  # noqa: S608
            values = {key: str(row[key]) for key in row.keys()}  # noqa: SIM118 - not a mapping
            found.setdefault(table_of(family, values), []).append(values)
    connection.close()
    return found


def table_of(family: str, row: dict[str, str]) -> str:
    """The original's table of a row."""
    if family == "operlog":
        return family
    key = {"order_detail": "id", "deal_history": "order_id"}.get(family, "user_id")
    return f"{family}_{int(row[key]) % 100}"


def mariadb_tables(server: Mariadb) -> Tables:
    """Rows of all tables that are not empty, ours left out."""
    day = time.strftime("operlog_%Y%m%d")
    return {
        "operlog" if table == day else table: rows
        for database in (HISTORY, LOG)
        for table, rows in server.documents(database).items()
        if not table.startswith("viabtc_")
    }
