"""`viabtc export` from both stores: the same rows, readable by any CSV reader."""

import csv
import io
import json
import os
import subprocess
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from pyarrow import parquet

from harness.configs import small_config
from harness.http import Connection
from harness.mariadb import HISTORY, Mariadb
from harness.processes import VIABTC, start_accesshttp, start_exchange, start_matchengine

ORDERS = ((1, 1, 'it\'s, "quoted"\n'), (2, 2, "é"))


def export(subject: str, source: Path, *options: str) -> list[dict[str, str]]:
    done = subprocess.run(
        [*VIABTC, "export", subject, str(source), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout, newline="")))


def trade(connection: Connection) -> None:
    connection.result("balance.update", 1, "BTC", "deposit", 1, "5", {"note": "a,b"})
    connection.result("balance.update", 2, "USDT", "deposit", 1, "1000", {})
    for user, side, source in ORDERS:
        connection.result(
            *("order.put_limit", user, "BTCUSDT", side, "1", "100", "0.002", "0.001", source)
        )


def untimed(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{key: row[key] for key in row if "time" not in key} for row in rows]


def test_both_stores_give_the_same_rows(tmp_path: Path, mariadb: Mariadb) -> None:
    config: dict[str, Any] = small_config()
    embedded = start_exchange(tmp_path, config)
    with Connection(embedded.place("http")) as connection:
        trade(connection)
    embedded.until(lambda: embedded.metric("viabtc_history_sequence") == 4)
    assert embedded.stop() == 0, embedded.said()
    production = tmp_path / "production"
    production.mkdir()
    engine = start_matchengine(production, {**config, **mariadb.sections()})
    door = start_accesshttp(production, {"matchengine": [engine.place("rpc")]})
    with Connection(door.place("http")) as connection:
        trade(connection)
    engine.until(lambda: engine.metric("viabtc_history_sequence") == 4)
    for server in (door, engine):
        assert server.stop() == 0, server.said()
    file = tmp_path / "databases.json"
    file.write_text(json.dumps({"db_history": mariadb.section(HISTORY)}))

    data = tmp_path / "data"
    for subject, count in (("orders", 2), ("deals", 2), ("balances", 8)):
        rows = export(subject, data)
        assert len(rows) == count, subject
        # Shards follow users, and so do these.
        mine = sorted(map(str, untimed(rows)))
        assert mine == sorted(map(str, untimed(export(subject, file)))), subject
        assert not export(subject, data, "--to", "2020-01-01")
        assert len(export(subject, data, "--from", "2020-01-01")) == count
    assert [row["source"] for row in export("orders", data)] == [text for *_, text in ORDERS]
    assert_parquet_holds_the_same(data, file, tmp_path)
    changes = [row for row in export("balances", data) if row["user_id"] == "2"]
    assert sum(Decimal(row["change"]) for row in changes if row["asset"] == "USDT") == 900


def assert_parquet_holds_the_same(data: Path, database: Path, directory: Path) -> None:
    for source in (data, database):
        for subject in ("orders", "deals", "balances"):
            out = directory / f"{subject}.parquet"
            export(subject, source, "--out", str(out))
            table: Any = parquet.read_table(out)
            rows = [
                {name: as_text(value) for name, value in row.items()} for row in table.to_pylist()
            ]
            assert rows == export(subject, source), subject
            assert str(table.schema.field(table.schema.names[-2]).type) in {
                "decimal128(30, 16)",
                "decimal128(30, 8)",
            }


def as_text(value: Any) -> str:
    """A value as the CSV file has it."""
    if isinstance(value, datetime):
        whole = value.replace(microsecond=0).timestamp()
        return f"{whole:.0f}.{value.microsecond:06}"
    if isinstance(value, Decimal):
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return str(value)


def test_parquet_without_its_library_says_what_to_install(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden" / "pyarrow"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ImportError")
    store = tmp_path / "data" / "history.sqlite3"
    store.parent.mkdir()
    store.touch()
    arguments = ["export", "orders", str(store.parent), "--format", "parquet"]
    for out, said in (("rows.parquet", "pip install 'viabtc[parquet]'"), ("rows.csv", "--out")):
        done = subprocess.run(
            [*VIABTC, *arguments, "--out", str(tmp_path / out)],
            env={**os.environ, "PYTHONPATH": str(hidden.parent)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode != 0
        assert said in done.stderr
