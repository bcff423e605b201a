"""Our engine goes on where the recorded original was: every answer, then every row behind it."""

import copy
import gzip
import json
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from golden.transcript import Call, Comparison, assert_one_line, calls
from harness.http import Connection
from harness.mariadb import HISTORY, LOG, Mariadb, make_schema
from harness.places import shared
from harness.processes import (
    migrate,
    start_accesshttp,
    start_matchengine,
    start_readhistory,
)

LAST_SLICED: Final = 581
"""The last order of the recorded slice."""


def test_a_taken_over_exchange_answers_as_the_original_did_and_goes_on(
    tmp_path: Path, golden_config: dict[str, Any]
) -> None:
    server = Mariadb(tmp_path / "mariadb")
    server.start()
    try:
        server.run(gzip.decompress(shared("golden", "takeover.sql.gz").read_bytes()).decode())
        make_schema(tmp_path, server)
        config = {**golden_config, **server.sections()}
        file = tmp_path / "original.json"
        own = {"viabtc": {"data": str(tmp_path / "data")}}
        log = {"path": str(tmp_path / "log"), "flag": "error"}
        file.write_text(json.dumps({**config, **own, "log": log, "cli": ""}))
        code, said = migrate(file)
        assert code == 0, said
        assert "audited" in said
        again, refusal = migrate(file)
        assert again == 1
        assert "holds a journal already" in refusal

        engine = start_matchengine(tmp_path, config)
        reader = start_readhistory(tmp_path, server.section(HISTORY))
        services = {"matchengine": [engine.place("rpc")], "readhistory": [reader.place("rpc")]}
        door = start_accesshttp(tmp_path, services)
        compared = 0
        # The recorded times are those of the original's run.
        comparison = Comparison(earliest=0.0)
        with Connection(door.place("http")) as connection:
            for call in calls("takeover"):
                request = {"method": call.method, "params": call.params, "id": call.body["id"]}
                text = connection.post(json.dumps(request).encode()).body.decode()
                assert_one_line(text)
                document = json.loads(text)
                if call.method == "asset.summary":
                    assert_lost_digits_only(document, call.body)
                else:
                    comparison.same(without_sources(call), document, time.time())
                compared += 1
            last = max(int(row["id"]) for row in operlog(server))
            connection.result("balance.update", 1, "BTC", "deposit", 2**40, "1", {})
            engine.until(lambda: engine.metric("viabtc_operlog_sequence") == 1)
        assert compared == 95
        assert max(int(row["id"]) for row in operlog(server)) == last + 1
        for process in (door, reader, engine):
            assert process.stop() == 0, process.said()
    finally:
        server.close()


def without_sources(call: Call) -> Call:
    """The call without the sources of orders that come from the slice, which has none."""

    def strip(value: Any) -> Any:
        if isinstance(value, list):
            return [strip(item) for item in value]
        if isinstance(value, dict):
            is_sliced = "left" in value and value["id"] <= LAST_SLICED
            return {
                name: strip(item)
                for name, item in value.items()
                if not (is_sliced and name == "source")
            }
        return value

    return replace(call, body=strip(call.body))


def assert_lost_digits_only(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """A slice keeps 16 decimals of a balance; six users' two balances lose less than 12 halves."""
    assert len(ours["result"]) == len(theirs["result"])
    for mine, other in zip(ours["result"], theirs["result"], strict=True):
        assert list(mine) == list(other)
        for name, value in other.items():
            if name.endswith("_balance"):
                assert abs(Decimal(mine[name]) - Decimal(value)) < 6 * Decimal("1e-16"), other
            else:
                assert mine[name] == value, other


def operlog(server: Mariadb) -> list[dict[str, str]]:
    documents = server.documents(LOG)
    return [row for name, rows in documents.items() if name.startswith("operlog_2") for row in rows]


@pytest.mark.parametrize("change", ["slice", "log"])
def test_what_does_not_fit_together_is_said_and_nothing_is_written(
    change: str, tmp_path: Path, golden_config: dict[str, Any], mariadb: Mariadb
) -> None:
    mariadb.run(
        "CREATE TABLE slice_order_1000 LIKE slice_order_example;"
        "CREATE TABLE slice_balance_1000 LIKE slice_balance_example;"
        "INSERT INTO slice_history VALUES (1, 1000, 5, 1, 0);"
        "INSERT INTO slice_balance_1000 VALUES (NULL, 1, 'BTC', 2, 1);"
        "INSERT INTO slice_order_1000 VALUES"
        " (1, 1, 1, 999, 999, 1, 'BTCUSDT', 8000, 1, 0, 0, 1, 1, 0, 0, 0);"
        "CREATE TABLE operlog_20200101 LIKE operlog_example",
        LOG,
    )
    if change == "slice":
        mariadb.run("UPDATE slice_balance_1000 SET balance = 0.5", LOG)
        expected = "the slice does not fit together"
    else:
        detail = '{"method": "cancel_order", "params": [1, "BTCUSDT", 1]}'
        mariadb.run(f"INSERT INTO operlog_20200101 VALUES (7, 1000, '{detail}')", LOG)  # noqa: S608
        expected = "entry 6 of the operation log is missing"
    file = tmp_path / "original.json"
    own = {"viabtc": {"data": str(tmp_path / "data")}}
    log = {"path": str(tmp_path / "log"), "flag": "error"}
    settings = {**golden_config, **mariadb.sections(), **own, "log": log, "cli": ""}
    file.write_text(json.dumps(settings))
    code, said = migrate(file)
    assert code == 1
    assert expected in said, said
    assert not list((tmp_path / "data").glob("journal-*"))


def test_entries_that_only_an_original_takes_are_taken_over(
    tmp_path: Path, golden_config: dict[str, Any], mariadb: Mariadb
) -> None:
    entries: list[list[Any]] = [
        [1, "BTC", "deposit", 1, "1", {"id": 1}],
        # Wrapped around to user 1, a negative number, and a business that no column holds whole.
        [2**32 + 1, "BTC", "refund", -7, "2", {"id": -7}],
        [1, "BTC", "b" * 40, 3, "4", {"id": 3}],
        # Taken again: the original remembers for a day, and forgets at a restart.
        [1, "BTC", "deposit", 1, "8", {"id": 1}],
    ]
    rows = []
    for number, params in enumerate(entries, 1):
        detail = json.dumps({"method": "update_balance", "params": params})
        rows.append(f"({number}, {1_000 + number}, '{detail}')")
    mariadb.run("CREATE TABLE operlog_20200101 LIKE operlog_example", LOG)
    mariadb.run(f"INSERT INTO operlog_20200101 VALUES {', '.join(rows)}", LOG)  # noqa: S608
    settings = {**copy.deepcopy(golden_config), **mariadb.sections()}
    settings["viabtc"] = {"data": str(tmp_path / "data")}
    settings["log"] = {"path": str(tmp_path / "log"), "flag": "error"}
    settings["cli"] = ""
    file = tmp_path / "original.json"
    # A precision of 0 is no bound there: what came of it cannot be told.
    for asset in settings["assets"]:
        asset["prec_show"] = 0
    fraction = json.dumps({"method": "update_balance", "params": [1, "BTC", "d", 9, "0.5", {}]})
    mariadb.run(f"INSERT INTO operlog_20200101 VALUES (5, 1010, '{fraction}')", LOG)  # noqa: S608
    file.write_text(json.dumps(settings))
    code, said = migrate(file)
    assert code == 1
    assert "entry 5 of the operation log cannot be applied" in said, said
    assert '"0.5"' in said
    mariadb.run("DELETE FROM operlog_20200101 WHERE id = 5", LOG)
    code, said = migrate(file)
    assert code == 0, said
    assert "BTC 15.000000000000" in said
