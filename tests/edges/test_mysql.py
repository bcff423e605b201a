"""Projections into a real MariaDB while it dies, blocks, refuses and comes back: each row once."""

import asyncio
import contextlib
import json
import os
import random
import shutil
import time
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import pytest

from harness.configs import small_config
from harness.cutting import CuttingProxy
from harness.mariadb import HISTORY, LOG, PASSWORD, USER, Mariadb
from harness.processes import Server, start_matchengine, start_readhistory
from harness.rpc import Client, Frame
from viabtc import _core
from viabtc.edges.mysql import LEASE_S, MysqlProjection, MysqlReader, MysqlSettings, history
from viabtc.edges.store import Holder, Position, StoreError
from viabtc.matchengine.databases import open_projections
from viabtc.matchengine.holder import open_holder
from viabtc.matchengine.settings import Databases
from viabtc.readhistory.main import SHARDED
from viabtc.readhistory.queries import read_query
from viabtc.readhistory.records import answer

if TYPE_CHECKING:
    from viabtc.service.projection import Projection

CUT_STEP: Final = int(os.environ.get("VIABTC_CUT_STEP") or 8)
"""Bytes between two cuts of an exchange; 1 tries every byte."""

DEADLINE_S: Final = 60.0
LOOK_S: Final = 0.005
"""Pause between looks at a condition."""


class Log:
    """Keeps what projections say."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def _note(self, text: str, **fields: Any) -> None:
        self.lines.append((text, fields))

    info = warning = error = _note


class Rig:
    """An engine of this process, and its projections."""

    def __init__(self, directory: Path) -> None:
        text = json.dumps({key: small_config()[key] for key in ("assets", "markets")})
        self.directory = directory
        self.engine = _core.Engine(text, str(directory))
        self.log = Log()
        self.projections: list[Projection] = []
        self._last = 0

    def call(self, command: int, *params: Any) -> Any:
        body = json.loads(self.engine.call(command, json.dumps(params).encode()))
        assert body["error"] is None, (command, params, body)
        return body["result"]

    def deposit(self, user: int, asset: str = "BTC", amount: str = "1", **detail: Any) -> None:
        self._last += 1
        self.call(102, user, asset, "deposit", self._last, amount, detail)

    def trade(self, count: int, seed: int = 1) -> None:
        """Deposits and crossing orders of three users."""
        draw = random.Random(seed)
        for user in (1, 2, 103):
            self.deposit(user, "BTC", "1000")
            self.deposit(user, "USDT", "1000000")
        for _ in range(count):
            side, price = draw.choice((1, 2)), str(draw.randrange(98, 103))
            order = (draw.choice((1, 2, 103)), "BTCUSDT", side, "0.01", price, "0.002", "0.001")
            self.call(201, *order, "it's")

    @contextlib.asynccontextmanager
    async def following(
        self, server: Mariadb, port: int | None = None, *, take_over: bool = False
    ) -> AsyncIterator[None]:
        databases = Databases(*(settings(server, name, port) for name in (HISTORY, LOG)))
        with open_holder(self.directory) as holder:
            async with open_projections(
                self.engine, databases, self.log, holder, take_over=take_over
            ) as projections:
                self.projections = list(projections)
                yield
        self.projections = []

    async def until_written(self) -> None:
        await until(lambda: all(projection.lag() == 0 for projection in self.projections), self)


def settings(server: Mariadb, name: str, port: int | None = None) -> MysqlSettings:
    return MysqlSettings("127.0.0.1", port or server.port, USER, PASSWORD, name)


async def until(is_so: Callable[[], bool], rig: Rig) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline, rig.log.lines[-5:]
        await asyncio.sleep(LOOK_S)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "data")


def run(test: Any) -> None:
    asyncio.run(test)


def written(server: Mariadb) -> dict[str, list[dict[str, str]]]:
    """All rows of both databases but ours."""
    return {
        table: rows
        for database in (HISTORY, LOG)
        for table, rows in server.documents(database).items()
        if not table.startswith("viabtc_")
    }


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


def test_a_second_engine_waits_and_a_first_that_is_taken_over_stops_writing(
    tmp_path: Path, mariadb: Mariadb
) -> None:
    async def test() -> None:
        first, second = Rig(tmp_path / "first"), Rig(tmp_path / "second")
        async with first.following(mariadb):
            first.deposit(1)
            await first.until_written()
            async with second.following(mariadb):
                await until(lambda: all(p.problem is not None for p in second.projections), second)
                assert all(
                    "waiting until it is silent" in str(p.problem) for p in second.projections
                )
            # The second's journal must be at least as far for the databases to be its own.
            for _ in range(2):
                second.deposit(2)
            async with second.following(mariadb, take_over=True):
                await second.until_written()
                first.deposit(1)
                await until(lambda: all(p.is_fenced for p in first.projections), first)
                second.deposit(2)
                await second.until_written()
        operlog = next(rows for name, rows in written(mariadb).items() if "operlog_" in name)
        assert [row["id"] for row in operlog] == ["1", "2", "3"]
        epochs = mariadb.rows("SELECT epoch, holder FROM viabtc_lease", HISTORY)
        assert epochs == [["2", ""]]

    run(test())


def test_a_lease_whose_holder_died_is_taken_when_it_is_over(rig: Rig, mariadb: Mariadb) -> None:
    async def test() -> None:
        for database, name in ((HISTORY, "history"), (LOG, "operlog")):
            row = f"('{name}', 6, 'gone', UTC_TIMESTAMP(6))"
            mariadb.run(f"INSERT INTO viabtc_lease VALUES {row}", database)  # noqa: S608
        rig.deposit(1)
        began = time.monotonic()
        async with rig.following(mariadb):
            await rig.until_written()
        assert time.monotonic() - began > LEASE_S - 1
        assert mariadb.rows("SELECT epoch FROM viabtc_lease", HISTORY) == [["7"]]

    run(test())


@pytest.mark.parametrize("act", ["beat", "write"])
def test_a_lease_is_given_back_whatever_the_stop_interrupts(act: str, mariadb: Mariadb) -> None:
    async def test() -> None:
        place = settings(mariadb, HISTORY)
        store = MysqlProjection(place, "history", Holder("stopping"), history)
        begun = await store.position()
        batch = SimpleNamespace(sequence=1, part=0, rows=1, content=[b"SELECT 1"])
        acting = store.beat() if act == "beat" else store.write(batch, begun)
        mariadb.freeze()
        try:
            task = asyncio.create_task(acting)
            # It runs before this goes on, up to where it waits for the server's answer.
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        finally:
            mariadb.thaw()
        await store.release()
        assert mariadb.rows("SELECT holder FROM viabtc_lease", HISTORY) == [[""]]
        next_store = MysqlProjection(place, "history", Holder("starting"), history)
        # Refused while the lease is held; nothing of the interrupted batch counts.
        assert await next_store.position() == begun
        await next_store.close()

    run(test())


def test_a_stop_does_not_wait_for_a_server_that_is_silent(mariadb: Mariadb) -> None:
    async def test() -> None:
        store = MysqlProjection(settings(mariadb, HISTORY), "history", Holder("stopping"), history)
        await store.position()
        mariadb.freeze()
        try:
            async with asyncio.timeout(DEADLINE_S / 2):
                await store.release()
        finally:
            mariadb.thaw()

    run(test())


HELD_LONG: Final = "UPDATE viabtc_lease SET seen = UTC_TIMESTAMP(6) + INTERVAL 1 HOUR"
"""Whoever cannot know that the holder is dead waits for longer than a test lasts."""


def hold_long(server: Mariadb) -> None:
    for database in (HISTORY, LOG):
        server.run(HELD_LONG, database)


@pytest.mark.parametrize("durability", ["local", "operlog"])
def test_a_killed_engine_is_succeeded_at_once(
    durability: str, tmp_path: Path, mariadb: Mariadb
) -> None:
    config = {**small_config(), **mariadb.sections()}
    for life in range(1, 4):
        server = start_matchengine(tmp_path, config, {"durability": durability})
        with Client(server.place("rpc")) as client:
            client.result(102, 1, "BTC", "deposit", life, "1", {})
        until_written(server)
        assert mariadb.rows("SELECT epoch FROM viabtc_lease", HISTORY) == [[str(life)]]
        server.kill()
        hold_long(mariadb)
    log = "".join(path.read_text() for path in tmp_path.glob("matchengine*.log"))
    assert "projection waits" not in log
    operlog = next(rows for name, rows in written(mariadb).items() if "operlog_" in name)
    assert [row["id"] for row in operlog] == ["1", "2", "3"]


def until_written(server: Server) -> None:
    def is_written() -> bool:
        projections = server.status()["projections"].values()
        return all(one["lag_commands"] == 0 for one in projections)

    server.until(is_written)


def test_a_copy_of_a_data_directory_does_not_succeed_its_engine(
    tmp_path: Path, mariadb: Mariadb
) -> None:
    async def test() -> None:
        first = Rig(tmp_path / "first")
        async with first.following(mariadb):
            first.deposit(1)
            await first.until_written()
            copy = shutil.copytree(first.directory, tmp_path / "copy")
            second = Rig(copy)
            async with second.following(mariadb):
                await until(lambda: all(p.problem is not None for p in second.projections), second)
                assert all(
                    "waiting until it is silent" in str(p.problem) for p in second.projections
                )

    run(test())


def test_only_dead_holders_of_this_very_directory_are_predecessors(tmp_path: Path) -> None:
    with open_holder(tmp_path / "data") as first:
        assert first.predecessors == set()
        # Somebody else writes from here: nobody is known to be dead.
        with open_holder(tmp_path / "data") as beside:
            assert beside.predecessors == set()
    with open_holder(tmp_path / "data") as second:
        assert second.predecessors == {first.name}
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    with open_holder(tmp_path / "copy") as elsewhere:
        assert elsewhere.predecessors == set()
    for _ in range(100):
        with open_holder(tmp_path / "data") as last:
            assert len(last.predecessors) <= 64
    assert second.name not in last.predecessors
