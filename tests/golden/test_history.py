"""The recorded history on the embedded store: every answer, every row of a table."""

import json
import sqlite3
import time
from pathlib import Path
from typing import Any, Final

import pytest

from golden.stores import Tables, assert_same_tables, tables
from golden.transcript import SCENARIOS, Call, Comparison, assert_one_line, calls
from harness.http import Connection
from harness.processes import Server, start_exchange

FRESH_S: Final = 1.5
"""The recordings asked for history this long after a write."""

FAMILIES: Final = (
    "balance_history",
    "order_history",
    "order_detail",
    "deal_history",
    "user_deal_history",
    "operlog",
)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_answers_and_rows_are_the_recorded_ones(
    scenario: str, tmp_path: Path, golden_config: dict[str, Any]
) -> None:
    comparison = Comparison(earliest=time.time())
    server = start_exchange(tmp_path, golden_config)
    with Connection(server.place("http")) as connection:
        for call in calls(scenario):
            method = call.declared
            if method is None or call.status != 200:
                continue
            if method.owner == "readhistory":
                until_written(server)
                compare(connection, call, comparison)
            elif method.effect == "write":
                connection.call(call.method, *call.params)
    until_written(server)
    assert_same_tables(stored(tmp_path / "data" / "history.sqlite3"), tables(scenario))
    assert server.stop() == 0, server.said()


def compare(connection: Connection, call: Call, comparison: Comparison) -> None:
    request = {"method": call.method, "params": call.params, "id": call.body["id"]}
    text = connection.post(json.dumps(request, ensure_ascii=False).encode()).body.decode()
    assert_one_line(text)
    document = json.loads(text)
    if is_refused_by_us(call):
        assert document["error"] == {"code": 1, "message": "invalid argument"}, call.place
    else:
        comparison.same(call, document, time.time())


def is_refused_by_us(call: Call) -> bool:
    """Integers outside their field: the original wraps them around."""
    integers = [value for value in call.params if isinstance(value, int)]
    return any(value < 0 for value in integers) or (bool(integers) and integers[0] >= 2**32)


def until_written(server: Server) -> None:
    """Waits until the history holds every command, not longer than the recordings waited."""
    sequence = server.status()["sequence"]
    deadline = time.monotonic() + FRESH_S
    while server.metric("viabtc_history_sequence") < sequence:
        assert time.monotonic() < deadline, "the history lags"


def stored(path: Path) -> Tables:
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
