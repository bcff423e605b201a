"""The embedded history after kills at any instant: every row once, none missing."""

import json
import random
import sqlite3
import threading
from pathlib import Path

from harness.configs import small_config
from harness.http import Connection
from harness.processes import Place, Server, spawn_exchange, start_exchange

KILLS = 6
TABLES = ("order_history", "user_deal_history", "balance_history", "operlog")


def test_kills_leave_no_row_out_and_write_none_twice(tmp_path: Path, seed: int) -> None:
    config = small_config()
    draw = random.Random(seed)
    for _ in range(KILLS):
        server = start_exchange(tmp_path, config)
        trade_until_killed(server, draw)
    server = start_exchange(tmp_path, config)
    until_written(server)
    written = server.status()["sequence"]
    assert written > 10 * KILLS, "hardly anything was traded"
    assert server.stop() == 0, server.said()
    file = tmp_path / "data" / "history.sqlite3"
    after_kills = rows(file)
    assert [row[0] for row in after_kills["operlog"]] == list(range(1, written + 1))

    # The feed has everything, so a store that never met a kill is the measure.
    for path in file.parent.glob("history.sqlite3*"):
        path.unlink()
    server = start_exchange(tmp_path, config)
    until_written(server)
    assert server.stop() == 0, server.said()
    assert after_kills == rows(file)


def test_a_store_ahead_of_the_journal_is_left_alone(tmp_path: Path) -> None:
    config = small_config()
    server = start_exchange(tmp_path, config)
    with Connection(server.place("http")) as connection:
        for number in range(1, 6):
            connection.result("balance.update", 1, "BTC", "deposit", number, "1", {})
    until_written(server)
    assert server.stop() == 0, server.said()
    data = tmp_path / "data"
    before = rows(data / "history.sqlite3")
    for path in data.iterdir():
        if not path.name.startswith("history"):
            path.unlink()
    server = spawn_exchange(tmp_path, config)
    server.until(lambda: server.metric("viabtc_history_failing") == 1)
    assert server.metric("viabtc_history_rows_total") == 0
    assert server.get("/health/ready")[0] == 503
    assert server.stop() == 0, server.said()
    assert "the journal ends at 0" in server.said()
    assert rows(data / "history.sqlite3") == before


def trade_until_killed(server: Server, draw: random.Random) -> None:
    """Several clients trade while the process is killed."""
    place = server.place("http")
    clients = [
        threading.Thread(target=trade, args=(place, user, draw.randrange(2**32)))
        for user in range(1, 5)
    ]
    for client in clients:
        client.start()
    server.is_running(draw.uniform(0.2, 0.8))
    server.kill()
    for client in clients:
        client.join()


def trade(place: Place, user: int, seed: int) -> None:
    """Deposits and crossing orders until the connection breaks."""
    draw = random.Random(seed)
    try:
        with Connection(place) as connection:
            while True:
                number = draw.randrange(2**62)
                asset, amount = draw.choice((("BTC", "5"), ("USDT", "40000")))
                connection.call("balance.update", user, asset, "deposit", number, amount, {"é": 1})
                for _ in range(8):
                    connection.call(
                        *("order.put_limit", user, "BTCUSDT", draw.choice((1, 2)), "0.01"),
                        *(str(draw.randrange(7_990, 8_011)), "0.002", "0.001", "it's"),
                    )
    except (OSError, AssertionError, json.JSONDecodeError):
        return


def until_written(server: Server) -> None:
    server.until(lambda: server.metric("viabtc_history_sequence") >= server.status()["sequence"])


def rows(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Everything in the store."""
    connection = sqlite3.connect(path)
    found = {
        table: connection.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()  # noqa: S608
        for table in TABLES
    }
    connection.close()
    return found
