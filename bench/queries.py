"""History queries over a large database: `.venv/bin/python bench/queries.py`.

Fills the order tables of a private MariaDB, then asks `viabtc readhistory` for 100 finished orders
of one user after the other, on one connection. Server, database and client share the machine.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from viabtc.contract.methods import BY_NAME

ROOT: Final = Path(__file__).parents[1]

SHARDS: Final = 100
USERS: Final = 10_000
RECORDS: Final = 100
COMMAND: Final = BY_NAME["order.finished"].command

TARGET_MS: Final = 10.0
"""99 of 100 answers. Source: the figures of the design, at 10 million rows."""

FILL: Final = (
    "INSERT INTO order_history_{shard} SELECT {first} + seq, 1795426011 + seq, 1795426012 + seq,"
    " {shard} + {shards} * (seq % {users}), 'BTCUSDT', 'api', 1, 1 + seq % 2, 9000 + seq % 700,"
    " 0.25, 0.002, 0.001, 0.25, 2300, 0.0005 FROM seq_1_to_{rows}"
)
"""A shard's orders: every user of it has as many."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--queries", type=int, default=5_000)
    given = parser.parse_args()
    sys.path.insert(0, str(ROOT / "tests"))
    from harness.mariadb import HISTORY, Mariadb, make_schema
    from harness.processes import start_readhistory
    from harness.rpc import Client

    rows = given.rows // SHARDS
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        mariadb = Mariadb(directory / "mariadb")
        try:
            mariadb.start()
            make_schema(directory, mariadb)
            begun = time.perf_counter()
            for shard in range(SHARDS):
                first, users = shard * rows, USERS // SHARDS
                values = {"shard": shard, "shards": SHARDS, "first": first, "users": users}
                mariadb.run(FILL.format(**values, rows=rows), HISTORY)
            print(f"{rows * SHARDS:,} rows in {time.perf_counter() - begun:.0f} s")
            server = start_readhistory(directory, mariadb.section(HISTORY))
            with Client(server.place("rpc")) as client:
                taken_ms = []
                for _ in range(given.queries):
                    user = random.randrange(USERS)
                    asked = time.perf_counter()
                    answer = client.result(COMMAND, user, "BTCUSDT", 0, 0, 0, RECORDS, 0)
                    taken_ms.append((time.perf_counter() - asked) * 1e3)
                    if len(answer["records"]) != RECORDS:
                        raise SystemExit(f"user {user} has {len(answer['records'])} records")
            server.stop()
        finally:
            mariadb.close()
    taken_ms.sort()
    p50, p99 = (taken_ms[int(len(taken_ms) * share)] for share in (0.5, 0.99))
    mark = "met" if p99 <= TARGET_MS else "missed"
    print(
        f"order.finished, {RECORDS} records: p50 {p50:.2f} ms, p99 {p99:.2f} ms,"
        f" max {taken_ms[-1]:.2f} ms, target p99 {TARGET_MS:.0f} ms {mark}"
    )


if __name__ == "__main__":
    main()
