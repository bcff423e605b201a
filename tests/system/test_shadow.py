"""`viabtc shadow`: beside what the original recorded, and beside slices that are altered."""

import gzip
import json
import re
import subprocess
from pathlib import Path
from typing import Any, Final

from harness.configs import small_config
from harness.mariadb import LOG, Mariadb
from harness.places import shared
from harness.processes import VIABTC
from harness.rpc import Client
from system.test_slices import Flow, make_slice, production, times

CHANGES: Final = (
    (
        "UPDATE BALANCES SET balance = 7 WHERE user_id = 2 AND asset = 'USDT' AND t = 1",
        r"user 2, USDT available: \S+ here, 7.0+ in the slice",
    ),
    (
        "DELETE FROM BALANCES WHERE user_id = 1 AND asset = 'BTC'",
        r"user 1, BTC available: \S+ here, 0 in the slice",
    ),
    (
        "UPDATE ORDERS SET `left` = `left` + 1, amount = amount + 1 ORDER BY id LIMIT 1",
        r"order \d+, left: \S+ here, \S+ in the slice",
    ),
    ("DELETE FROM ORDERS ORDER BY id DESC LIMIT 1", r"order \d+ is open here only"),
)
"""What is done to the newest slice, and what is said of it."""


def shadow(file: Path, *options: str) -> tuple[int, str]:
    """Exit code and everything that was said."""
    done = subprocess.run(
        [*VIABTC, "shadow", "--from", str(file), *options],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def file_of(directory: Path, config: dict[str, Any], mariadb: Mariadb) -> Path:
    file = directory / "original.json"
    log = {"path": str(directory / "log"), "flag": "error"}
    file.write_text(json.dumps({**config, **mariadb.sections(), "log": log, "cli": ""}))
    return file


def test_the_recorded_originals_slice_is_what_its_log_leads_to(
    tmp_path: Path, golden_config: dict[str, Any]
) -> None:
    server = Mariadb(tmp_path / "mariadb")
    server.start()
    try:
        server.run(gzip.decompress(shared("golden", "takeover.sql.gz").read_bytes()).decode())
        file = file_of(tmp_path, golden_config, server)
        code, said = shadow(file, "--complete", "--slices", "1")
        assert code == 0, said
        assert re.search(r"slice of \d+, entry [1-9]\d*: the same", said), said
        server.run("UPDATE slice_history SET end_deals_id = end_deals_id + 1", LOG)
        code, said = shadow(file, "--complete", "--slices", "1")
        assert code == 1
        assert "last deal: " in said
    finally:
        server.close()


def test_every_difference_is_said(tmp_path: Path, mariadb: Mariadb, seed: int) -> None:
    config = {**small_config(), "slice_interval": 86_400}
    with production(tmp_path, config, mariadb) as site:
        with Client(site.server.place("rpc")) as client:
            flow = Flow(client, seed)
            for _ in range(2):
                flow.go(150)
                make_slice(site)
        site.server.until(lambda: site.server.metric("viabtc_operlog_lag_commands") == 0)
        newest = max(times(site))
        file = file_of(tmp_path, config, mariadb)
        code, said = shadow(file, "--complete", "--slices", "2")
        assert code == 0, said
        assert said.count(": the same") == 2, said
        tables = {"BALANCES": f"slice_balance_{newest}", "ORDERS": f"slice_order_{newest}"}
        for change, expected in CHANGES:
            word = "BALANCES" if "BALANCES" in change else "ORDERS"
            mariadb.run(change.replace(word, tables[word]), LOG)
            code, said = shadow(file, "--complete", "--slices", "2")
            assert code == 1, said
            assert said.count(": the same") == 1, said
            assert re.search(expected, said), said
        # An entry that is missing is a difference too.
        table = next(name for name in mariadb.tables(LOG) if name.startswith("operlog_2"))
        mariadb.run(f"DELETE FROM {table} WHERE id = 7", LOG)  # noqa: S608
        code, said = shadow(file, "--complete", "--slices", "2")
        assert code == 1
        assert "entry 7 of the operation log is missing" in said


def test_a_file_without_databases_is_refused(tmp_path: Path, golden_config: dict[str, Any]) -> None:
    file = tmp_path / "original.json"
    log = {"path": str(tmp_path / "log"), "flag": "error"}
    file.write_text(json.dumps({**golden_config, "log": log, "cli": ""}))
    code, said = shadow(file)
    assert code == 2, said
    assert "names no databases" in said
