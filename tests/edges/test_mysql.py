"""Projections into a real MariaDB while it dies, blocks, refuses and comes back: each row once."""

import asyncio
import contextlib
import json
import os
import shutil
import time
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from edges.projecting import DEADLINE_S, LOOK_S, Rig, run, settings, until, written
from harness.cutting import CuttingProxy
from harness.mariadb import HISTORY, Mariadb
from harness.processes import start_readhistory
from harness.rpc import Client, Frame
from viabtc import _core
from viabtc.edges.mysql import MysqlReader
from viabtc.edges.store import Position, StoreError
from viabtc.readhistory.main import SHARDED
from viabtc.readhistory.queries import read_query
from viabtc.readhistory.records import answer

CUT_STEP: Final = int(os.environ.get("VIABTC_CUT_STEP") or 8)
"""Bytes between two cuts of an exchange; 1 tries every byte."""


def rendered(engine: _core.Engine) -> dict[str, list[tuple[str, ...]]]:
    """The same rows from the feed, by the embedded store's rendering."""
    found: dict[str, list[tuple[str, ...]]] = {}
    feed = _core.Feed(engine, "store")
    while (batch := feed.batch(100_000)) is not None:
        for table, rows in batch.content.items():
            for row in rows:
                found.setdefault(table, []).append(tuple(map(str, row[1:])))
    return found


def assert_each_row_once(server: Mariadb, engine: _core.Engine) -> None:
    """Compares what MariaDB holds with what the feed says, table by table."""
    expected = rendered(engine)
    ours: dict[str, list[Any]] = {}
    for table, held in written(server).items():
        ours.setdefault(family(table), []).extend(held)
    assert [int(row["id"]) for row in ours["operlog"]] == list(
        range(1, engine.status()["operlog_id"] + 1)
    )
    for name, rows in expected.items():
        mine = sorted(comparable(list(row.values())[1:]) for row in ours.get(name, []))
        assert mine == sorted(map(comparable, rows)), name
    assert len(ours["order_detail"]) == len(ours["order_history"])
    assert len(ours["deal_history"]) == len(ours["user_deal_history"])


def family(table: str) -> str:
    return table.rpartition("_")[0]


def comparable(values: Any) -> tuple[str, ...]:
    """Numbers by value."""
    texts = []
    for value in values:
        try:
            texts.append(str(Decimal(value).normalize()))
        except ArithmeticError:
            texts.append(value)
    return tuple(texts)


def test_a_server_that_is_away_at_the_start_and_dies_under_load_misses_nothing(
    rig: Rig, mariadb: Mariadb
) -> None:
    async def test() -> None:
        mariadb.kill()
        async with rig.following(mariadb):
            # None of these is refused, and none waits.
            rig.trade(200)
            await until(lambda: all(p.problem is not None for p in rig.projections), rig)
            for seed in range(3):
                mariadb.start()
                await until(lambda: any(p.lag() == 0 for p in rig.projections), rig)
                trading = asyncio.create_task(asyncio.to_thread(rig.trade, 1_000, seed))
                await until(partial(is_past, rig, rig.projections[0].position), rig)
                await asyncio.to_thread(mariadb.kill)
                await trading
                rig.trade(100, seed)
            mariadb.start()
            await rig.until_written()
        assert_each_row_once(mariadb, rig.engine)

    run(test())


def test_a_cut_at_any_byte_of_an_exchange_leaves_each_row_once(rig: Rig, mariadb: Mariadb) -> None:
    async def test() -> None:
        proxy = CuttingProxy(("127.0.0.1", mariadb.port))
        async with rig.following(mariadb, proxy.port):
            rig.trade(20)
            await rig.until_written()
            before = proxy.forwarded
            rig.deposit(1)
            await rig.until_written()
            exchange = proxy.forwarded - before
            assert 500 < exchange < 10_000
            for count in range(0, exchange + 200, CUT_STEP):
                proxy.cut_after(count)
                rig.deposit(1 + count % 5, detail="x")
                await until(lambda: not proxy.is_armed() or all_written(rig), rig)
                await rig.until_written()
            assert proxy.cuts > exchange / CUT_STEP / 2
        proxy.close()
        assert_each_row_once(mariadb, rig.engine)

    run(test())


def is_past(rig: Rig, position: Position) -> bool:
    return rig.projections[0].position > position


def all_written(rig: Rig) -> bool:
    return all(projection.lag() == 0 for projection in rig.projections)


def test_a_server_that_is_read_only_for_a_while_misses_nothing(rig: Rig, mariadb: Mariadb) -> None:
    async def test() -> None:
        async with rig.following(mariadb):
            rig.trade(50)
            await rig.until_written()
            mariadb.run("SET GLOBAL read_only = 1")
            rig.trade(50, 2)
            await until(lambda: all(p.problem is not None for p in rig.projections), rig)
            mariadb.run("SET GLOBAL read_only = 0")
            await rig.until_written()
        assert_each_row_once(mariadb, rig.engine)

    run(test())


def test_deadlocks_and_held_rows_only_delay(rig: Rig, mariadb: Mariadb) -> None:
    async def test() -> None:
        async with rig.following(mariadb):
            rig.trade(20)
            await rig.until_written()
            holding = asyncio.create_task(
                asyncio.to_thread(
                    mariadb.run,
                    "START TRANSACTION; UPDATE viabtc_position SET part = part;"
                    " SELECT * FROM viabtc_position FOR UPDATE; SELECT SLEEP(6);"
                    " SELECT * FROM viabtc_lease FOR UPDATE; COMMIT",
                    HISTORY,
                )
            )
            await until(lambda: "SLEEP(6)" in mariadb.run("SHOW FULL PROCESSLIST"), rig)
            rig.trade(20, 2)
            with contextlib.suppress(Exception):
                await holding
            await rig.until_written()
            retried = rig.projections[0].figures()["retries_total"]
            assert retried > 0, "nothing stood in the way"
        assert_each_row_once(mariadb, rig.engine)

    run(test())


def test_a_replica_without_the_last_rows_gets_them(
    rig: Rig, mariadb: Mariadb, databases: Path, tmp_path: Path
) -> None:
    async def test() -> None:
        async with rig.following(mariadb):
            rig.trade(50)
            await rig.until_written()
        mariadb.stop()
        behind = tmp_path / "behind"
        shutil.copytree(mariadb.directory / "data", behind)
        mariadb.start()
        async with rig.following(mariadb):
            rig.trade(50, 2)
            await rig.until_written()
            mariadb.stop()
            shutil.rmtree(mariadb.directory / "data")
            behind.rename(mariadb.directory / "data")
            mariadb.start()
            rig.trade(5, 3)
            await rig.until_written()
        assert_each_row_once(mariadb, rig.engine)

    run(test())


def test_rows_that_the_server_refuses_are_put_aside_and_the_others_go_on(
    rig: Rig, mariadb: Mariadb
) -> None:
    async def test() -> None:
        mariadb.run("ALTER TABLE balance_history_3 MODIFY business varchar(3) NOT NULL", HISTORY)
        for user in (1, 103, 2, 3, 1):
            rig.deposit(user)
        async with rig.following(mariadb):
            await rig.until_written()
            assert rig.projections[0].figures()["dead_total"] == 2
        rows = written(mariadb)
        assert [row["user_id"] for row in rows["balance_history_1"]] == ["1", "1"]
        assert len(rows["balance_history_2"]) == 1
        assert "balance_history_3" not in rows
        dead = mariadb.rows("SELECT name, sequence, error FROM viabtc_dead_letter", HISTORY)
        assert [(name, sequence) for name, sequence, _ in dead] == [
            ("history", "2"),
            ("history", "4"),
        ]
        assert all("1406" in error for *_, error in dead)

    run(test())


TEXTS: Final = (
    'it\'s "quoted"',
    "back\\slash\\",
    "'; DROP TABLE balance_history_1; --",
    "\u0001\u001f\x7f\t\r\n\x1a",
    "%s %d %%",
    "é 中文 ￿",
)


def test_any_text_comes_back_as_it_went_in(rig: Rig, mariadb: Mariadb) -> None:
    async def test() -> None:
        for number, text in enumerate(TEXTS):
            rig.call(102, 1, "BTC", text[:30], number, "5", {text: [text, "\U0001f600"]})
            rig.call(102, 2, "USDT", text[:30], number, "1000", {})
            source = text.encode()[:20].decode(errors="ignore")
            rig.call(201, 1, "BTCUSDT", 1, "1", "100", "0", "0", source)
            rig.call(201, 2, "BTCUSDT", 2, "1", "100", "0", "0", source)
        async with rig.following(mariadb):
            await rig.until_written()
        reader = MysqlReader(settings(mariadb, HISTORY), 1)

        async def ask(command: int, *params: Any) -> list[dict[str, Any]]:
            query = read_query(command, list(params))
            assert query is not None
            rows = await reader.fetch(*query.sql(SHARDED))
            records: list[dict[str, Any]] = json.loads(answer(command, query, rows))["records"]
            return records

        for number, text in enumerate(TEXTS):
            (record,) = await ask(103, 1, "", text[:30], 0, 0, 0, 10)
            assert record["business"] == text[:30]
            assert record["detail"] == {text: [text, "\U0001f600"], "id": number}
        sources = [record["source"] for record in await ask(208, 1, "btcusdt", 0, 0, 0, 100)]
        assert sources == [t.encode()[:20].decode(errors="ignore") for t in reversed(TEXTS)]
        await reader.close()
        assert_each_row_once(mariadb, rig.engine)

    run(test())


def test_a_query_whose_session_has_ended_is_asked_in_a_new_one(mariadb: Mariadb) -> None:
    async def test() -> None:
        reader = MysqlReader(settings(mariadb, HISTORY), 1)

        async def session() -> int:
            ((number,),) = await reader.fetch("SELECT CONNECTION_ID()", ())
            return int(number)

        first = await session()
        assert await session() == first, "a session is kept"
        # As an administrator does.
        mariadb.run(f"KILL {first}")
        second = await session()
        assert second != first
        # As the server does after hours of silence.
        await reader.fetch("SET SESSION wait_timeout = 1", ())
        deadline = time.monotonic() + DEADLINE_S
        while str(second) in (row[0] for row in mariadb.rows("SHOW PROCESSLIST")):
            assert time.monotonic() < deadline, "the session does not end"
            await asyncio.sleep(LOOK_S)
        assert await session() not in {first, second}
        mariadb.stop()
        with pytest.raises(StoreError):
            await session()
        mariadb.start()
        await session()
        mariadb.kill()
        mariadb.start()
        await session()
        await reader.close()

    run(test())


def test_questions_beyond_those_that_may_wait_are_refused_at_once(
    tmp_path: Path, mariadb: Mariadb
) -> None:
    server = start_readhistory(tmp_path, mariadb.section(HISTORY), worker_num=1)
    with Client(server.place("rpc")) as client:
        params = [1, "BTC", "", 0, 0, 0, 1]
        assert client.result(103, *params)["records"] == []
        mariadb.freeze()
        try:
            for sequence in range(1, 12):
                client.send(Frame(103, json.dumps(params).encode(), sequence).encode())
            for sequence, refused in ((12, params), (13, ["no", "parameters"])):
                client.send(Frame(103, json.dumps(refused).encode(), sequence).encode())
                reply = client.receive()
                assert reply is not None
                assert reply.sequence == sequence
                error = {"code": 3, "message": "service unavailable"}
                assert json.loads(reply.body)["error"] == error
        finally:
            mariadb.thaw()
        replies = [client.receive() for _ in range(11)]
        assert {reply.sequence for reply in replies if reply} == set(range(1, 12))
    assert server.stop() == 0, server.said()
