"""MySQL away, or without space, under load: the engine trades on, and each row comes once."""

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from crash.full_disk import fill, small_disk
from harness.configs import small_config
from harness.mariadb import HISTORY, LOG, Mariadb
from harness.model import UPDATE_BALANCE
from harness.processes import Place, Server, start_matchengine
from harness.rpc import Frame

AWAY_S: Final = float(os.environ.get("VIABTC_AWAY_S") or 30)
"""How long the server is away; the full proof has ten minutes."""

FULL_S: Final = 5.0
"""How long it has no space."""

RATE: Final = 5_000
"""Commands a second."""

TICK_S: Final = 0.02
"""They are sent in groups, at times that do not wait for answers."""

CATCH_UP_S: Final = 120 + 4 * AWAY_S

USERS: Final = 100


class Flow:
    """Deposits of one bitcoin, all different, at a rate."""

    def __init__(self, place: Place) -> None:
        self.sent = 0
        self.accepted = 0
        self.refused: list[str] = []
        self._socket = socket.create_connection(place, 60)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def go(self, duration_s: float) -> None:
        """Sends for a time."""
        start = time.monotonic()
        for tick in range(int(duration_s / TICK_S)):
            self._send(int(RATE * TICK_S))
            # An open loop: the next group is due whether this one was answered or not.
            wait_s = start + (tick + 1) * TICK_S - time.monotonic()
            if wait_s > 0:
                self._reader.join(wait_s)

    def end(self) -> None:
        """Waits for every answer."""
        self._socket.shutdown(socket.SHUT_WR)
        self._reader.join(60)
        assert not self._reader.is_alive(), "answers are missing"
        self._socket.close()

    def _send(self, count: int) -> None:
        frames = []
        for _ in range(count):
            self.sent += 1
            params = [self.sent % USERS, "BTC", "outage", self.sent, "1", {}]
            body = json.dumps(params).encode()
            frames.append(Frame(UPDATE_BALANCE, body, request_id=self.sent).encode())
        self._socket.sendall(b"".join(frames))

    def _read(self) -> None:
        rest = b""
        while piece := self._socket.recv(1 << 16):
            rest += piece
            *answers, rest = rest.split(b'"id": ')
            for answer in answers:
                self.accepted += b'"status": "success"' in answer
                if b'"code"' in answer:
                    self.refused.append(answer.decode(errors="replace")[-200:])


@contextlib.contextmanager
def trading(directory: Path, mariadb: Mariadb) -> Iterator[tuple[Server, Flow]]:
    """An engine of the durability `local` under load; everything is checked at the end."""
    config = small_config()
    config["svr"]["buf_limit"] = 0
    server = start_matchengine(directory, {**config, **mariadb.sections()})
    flow = Flow(server.place("rpc"))
    yield server, flow
    flow.end()
    assert flow.refused == []
    assert flow.accepted == flow.sent
    for name in ("operlog", "history"):
        server.until(lambda: server.metric(f"viabtc_{name}_lag_commands") == 0, CATCH_UP_S)  # noqa: B023
    assert server.stop() == 0, server.said()
    assert_each_row_once(mariadb, flow.sent)


def assert_each_row_once(mariadb: Mariadb, count: int) -> None:
    days = [name for name in mariadb.tables(LOG) if name.startswith("operlog_2")]
    ids = " UNION ALL ".join(f"SELECT id FROM {day}" for day in days)  # noqa: S608
    sql = f"SELECT COUNT(*), COUNT(DISTINCT id), MIN(id), MAX(id) FROM ({ids}) AS entries"  # noqa: S608
    assert mariadb.rows(sql, LOG) == [[str(count), str(count), "1", str(count)]]
    sums = ";".join(
        f"SELECT COUNT(*), COUNT(DISTINCT detail), SUM(`change`) = MAX(balance)"  # noqa: S608
        f" FROM balance_history_{shard}"
        for shard in range(USERS)
    )
    rows = mariadb.rows(sums, HISTORY)
    assert sum(int(total) for total, _, _ in rows) == count
    assert all(total == different and is_sum == "1" for total, different, is_sum in rows)


def test_nothing_is_refused_lost_or_doubled_while_mysql_is_away(
    tmp_path: Path, mariadb: Mariadb
) -> None:
    with trading(tmp_path, mariadb) as (server, flow):
        flow.go(1)
        mariadb.kill()
        flow.go(AWAY_S)
        assert server.metric("viabtc_operlog_failing") == 1
        assert server.metric("viabtc_operlog_lag_seconds") > AWAY_S / 2
        mariadb.start()
        flow.go(1)


def test_nothing_is_refused_lost_or_doubled_while_mysql_has_no_space(
    tmp_path: Path, databases: Path
) -> None:
    with small_disk(tmp_path / "disk", "600m"):
        mariadb = Mariadb(tmp_path / "disk" / "mariadb", databases)
        try:
            mariadb.start()
            ballast = tmp_path / "disk" / "ballast"
            with trading(tmp_path, mariadb) as (server, flow):
                flow.go(1)
                fill(ballast)
                flow.go(FULL_S)
                server.until(lambda: server.metric("viabtc_operlog_failing") == 1)
                ballast.unlink()
                flow.go(1)
        finally:
            mariadb.close()
