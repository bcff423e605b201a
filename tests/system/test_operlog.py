"""The durability `operlog`: acknowledged means that MySQL has it too."""

import json
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from harness.configs import small_config
from harness.mariadb import LOG, Mariadb
from harness.processes import Server, spawn_matchengine, start_matchengine
from harness.rpc import Client, Frame

QUERY, UPDATE, LIMIT, CANCEL = 101, 102, 201, 204
LIMIT_ONCE = 908
HALT, RESUME, ADD_MARKET, ADD_ASSET = 901, 902, 903, 905

NAMED: Final = (1, "BTCUSDT", 1, "0.25", "120", "0.002", "0.001", "once")

OWN: Final = {"durability": "operlog"}

UNAVAILABLE: Final = (3, "service unavailable")


def start(directory: Path, mariadb: Mariadb, **own: Any) -> Server:
    directory.mkdir(exist_ok=True)
    return start_matchengine(directory, {**small_config(), **mariadb.sections()}, {**OWN, **own})


@pytest.fixture
def engine(tmp_path: Path, mariadb: Mariadb) -> Iterator[Server]:
    server = start(tmp_path / "one", mariadb)
    yield server
    if server.is_running():
        assert server.stop() == 0, server.said()
    else:
        server.kill()


def refusal(directory: Path, mariadb: Mariadb, config: dict[str, Any] | None = None) -> str:
    """What an engine says that does not start."""
    directory.mkdir(exist_ok=True)
    settings = {**small_config(), **(config or {}), **mariadb.sections()}
    server = spawn_matchengine(directory, settings, OWN)
    try:
        assert server.process.wait(60) == 1, server.said()
        return server.said()
    finally:
        server.kill()


def trade(client: Client, first: int = 1) -> None:
    """Some deposits, orders that rest and trade, a cancel."""
    for user in (1, 2):
        client.result(UPDATE, user, "BTC", "deposit", first, "10.123456789012", {"note": "it's 😀"})
        client.result(UPDATE, user, "USDT", "deposit", first, "1000", {})
    fees = ("0.002", "0.001", "é\"'\\")
    client.result(LIMIT, 1, "BTCUSDT", 1, "1.5", "100", *fees)
    client.result(LIMIT, 2, "BTCUSDT", 2, "0.5", "101", *fees)
    order = client.result(LIMIT, 2, "BTCUSDT", 2, "0.5", "90", *fees)
    client.result(CANCEL, 2, "BTCUSDT", order["id"])
    client.result(LIMIT, 2, "BTCUSDT", 2, "0.5", "91", *fees)


def change(client: Client, number: int) -> None:
    """Commands of our own kinds, between those of the original's."""
    client.result(HALT, "BTCUSDT", "test")
    client.result(RESUME, "BTCUSDT", "test", "it's \\ é")
    client.result(ADD_ASSET, f"NEW{number}", {"prec_save": 10}, "test")
    market = {"stock": "BTC", "money": f"NEW{number}", "stock_prec": 2, "money_prec": 2}
    market["min_amount"] = "0.01"
    client.result(ADD_MARKET, f"BTCNEW{number}", market, "test")
    client.result(UPDATE, 1, f"NEW{number}", "deposit", number, "100", {})
    client.result(LIMIT, 1, f"BTCNEW{number}", 2, "0.5", "90", "0", "0", "")
    client.result(HALT, f"BTCNEW{number}", "test")


def logged(mariadb: Mariadb) -> int:
    """The last entry of the operation log that is committed."""
    table = time.strftime("operlog_%Y%m%d")
    if table not in mariadb.tables(LOG):
        return 0
    ((last,),) = mariadb.rows(f"SELECT COALESCE(MAX(id), 0) FROM {table}", LOG)  # noqa: S608
    return int(last)


def test_what_is_acknowledged_is_in_the_log(engine: Server, mariadb: Mariadb) -> None:
    with Client(engine.place("rpc")) as client:
        for number in range(1, 30):
            client.result(UPDATE, 1, "BTC", "deposit", number, "1", {})
            assert logged(mariadb) >= number


def test_a_group_of_writes_shares_a_transaction(engine: Server, mariadb: Mariadb) -> None:
    """More requests than transactions: each batch waits for one commit."""
    count = 3_000
    before = engine.metric("viabtc_operlog_batches_total")
    frames = b"".join(
        Frame(
            UPDATE, json.dumps([1, "BTC", "many", number, "1", {}]).encode(), request_id=number
        ).encode()
        for number in range(1, count + 1)
    )
    with socket.create_connection(engine.place("rpc"), 30) as connection:
        connection.settimeout(30)
        writer = threading.Thread(target=connection.sendall, args=(frames,))
        writer.start()
        received, answers = b"", 0
        while answers < count:
            received += connection.recv(1 << 16)
            answers = received.count(b'"status": "success"')
        writer.join()
    assert logged(mariadb) == count
    assert engine.metric("viabtc_operlog_batches_total") - before < count / 10


def test_without_mysql_writes_are_refused_before_they_are_applied_and_queries_go_on(
    engine: Server, mariadb: Mariadb
) -> None:
    with Client(engine.place("rpc")) as client:
        client.result(UPDATE, 1, "BTC", "deposit", 1, "1", {})
        mariadb.kill()
        engine.until(lambda: "projection waits" in log_of(engine) or engine.metric(HELD) > 0)
        time_of_refusal = None
        deadline = time.monotonic() + 10
        with Client(engine.place("rpc")) as other:
            while time_of_refusal is None and time.monotonic() < deadline:
                body = ask_once(engine, 2)
                if body is not None and body["error"] is not None:
                    assert (body["error"]["code"], body["error"]["message"]) == UNAVAILABLE
                    time_of_refusal = time.monotonic()
            assert time_of_refusal is not None
            applied = engine.status()["sequence"]
            for number in range(100, 110):
                assert client.error(UPDATE, 1, "BTC", "deposit", number, "1", {}) == UNAVAILABLE
                other.result(QUERY, 1, "BTC")
            assert engine.status()["sequence"] == applied
        mariadb.start()
        engine.until(lambda: engine.metric("viabtc_operlog_failing") == 0)
        # It goes on by itself.
        engine.until(
            lambda: client.call(UPDATE, [1, "BTC", "deposit", 200, "1", {}])["error"] is None
        )
        assert logged(mariadb) == engine.status()["operlog_id"]


HELD: Final = "viabtc_engine_held_requests"


def ask_once(server: Server, number: int) -> dict[str, Any] | None:
    """A deposit on a connection of its own; None when no answer comes within half a second."""
    with Client(server.place("rpc")) as client:
        client.socket.settimeout(0.5)
        try:
            return client.call(UPDATE, [1, "BTC", "deposit", number, "1", {}])
        except TimeoutError:
            return None


def log_of(server: Server) -> str:
    return "".join(
        path.read_text(errors="replace") for path in server.output.parent.glob("matchengine*.log")
    )


def state_of(server: Server) -> tuple[int, int, int, int, str]:
    status = server.status()
    names = ("sequence", "order_id", "deal_id", "operlog_id", "digest")
    sequence, order, deal, entry, digest = (status[name] for name in names)
    return sequence, order, deal, entry, digest


@pytest.mark.parametrize("source", ["log", "slice and log"])
def test_an_empty_disk_begins_from_mysql(
    source: str, tmp_path: Path, mariadb: Mariadb, engine: Server
) -> None:
    with Client(engine.place("rpc")) as client:
        if source == "slice and log":
            trade(client)
            # Its name is in the slice, and the original's tables know nothing of it.
            client.result(LIMIT_ONCE, *NAMED[:-1], "in the slice")
            with socket.create_connection(engine.place("console"), 10) as connection:
                connection.sendall(b"makeslice\n")
                connection.recv(100)
            engine.until(lambda: engine.status()["slice_time"] > 0)
            trade(client, 2)
        else:
            trade(client)
        named = client.result(LIMIT_ONCE, *NAMED)
        change(client, 1)
    wanted = state_of(engine)
    epoch = engine.status()["epoch"]
    engine.kill()
    if source == "log":
        mariadb.run("DELETE FROM slice_history; DELETE FROM viabtc_slice", LOG)
    # Moved, not removed: what the engine had begun may still write there for a moment.
    (tmp_path / "one" / "data").rename(tmp_path / "gone")
    other = start(tmp_path / "two", mariadb)
    # Every counter, every balance, every order with its times and source, every update seen.
    assert state_of(other) == wanted
    assert other.status()["epoch"] > epoch
    with Client(other.place("rpc")) as client:
        assert client.error(UPDATE, 1, "BTC", "deposit", 1, "1", {})[0] == 10
        assert client.result(LIMIT_ONCE, *NAMED) == named
        assert client.error(LIMIT_ONCE, *NAMED[:3], "2", *NAMED[4:])[0] == 13
        trade(client, 3)
    after = state_of(other)
    other.until(lambda: other.metric("viabtc_history_lag_commands") == 0)
    assert other.stop() == 0, other.said()
    again = start(tmp_path / "two", mariadb)
    assert state_of(again) == after
    assert again.stop() == 0, again.said()


def test_a_journal_that_others_went_on_from_is_refused(
    tmp_path: Path, mariadb: Mariadb, engine: Server
) -> None:
    with Client(engine.place("rpc")) as client:
        trade(client)
    engine.kill()
    other = start(tmp_path / "two", mariadb)
    with Client(other.place("rpc")) as client:
        trade(client, 2)
    assert other.stop() == 0, other.said()
    said = refusal(tmp_path / "one", mariadb)
    assert "went on from" in said
    assert "move the directory aside" in said


def test_a_second_engine_needs_to_be_told_and_fences_the_first(
    tmp_path: Path, mariadb: Mariadb, engine: Server
) -> None:
    with Client(engine.place("rpc")) as client:
        trade(client)
        wanted = state_of(engine)
        said = refusal(tmp_path / "two", mariadb)
        assert "another engine writes to" in said
        assert "--take-over" in said
        third = start(tmp_path / "three", mariadb, take_over=True)
        assert state_of(third) == wanted
        # The first may not acknowledge any more, and ends.
        assert engine.process.wait(30) != 0
    with Client(third.place("rpc")) as client:
        trade(client, 2)
    assert third.stop() == 0, third.said()


def edited(key: str, value: Any) -> dict[str, Any]:
    """The markets with one key of one of them changed."""
    markets = small_config()["markets"]
    markets[0][key] = value
    return {"markets": markets}


def test_a_log_that_other_settings_led_to_is_refused_until_a_slice_is_behind_it(
    tmp_path: Path, mariadb: Mariadb, engine: Server
) -> None:
    """Applied again under other settings the same orders would be cut or refused otherwise."""
    with Client(engine.place("rpc")) as client:
        trade(client)
    wanted = state_of(engine)
    engine.kill()
    mariadb.run("DELETE FROM slice_history; DELETE FROM viabtc_slice", LOG)
    shutil.rmtree(tmp_path / "one" / "data")
    finer = edited("money", {"name": "USDT", "prec": 1})
    said = refusal(tmp_path / "two", mariadb, finer)
    assert "written with other settings: money of BTCUSDT was" in said
    assert "viabtc_settings" in said
    assert list((tmp_path / "two" / "data").glob("journal-*")) == []
    old = start(tmp_path / "two", mariadb)
    assert state_of(old) == wanted
    old.until(lambda: old.status()["slice_time"] > 0)
    old.kill()
    shutil.rmtree(tmp_path / "two" / "data")
    settings = {**small_config(), **edited("min_amount", "0.01"), **mariadb.sections()}
    (tmp_path / "three").mkdir()
    new = start_matchengine(tmp_path / "three", settings, OWN)
    assert state_of(new)[:4] == wanted[:4]
    # Where the journal has everything, an edit takes effect as it does without the log.
    assert new.stop() == 0, new.said()
    settings.update(edited("min_amount", "0.02"))
    again = start_matchengine(tmp_path / "three", settings, OWN)
    assert state_of(again)[:4] == wanted[:4]
    assert again.stop() == 0, again.said()
