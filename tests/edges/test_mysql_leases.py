"""Who may write to a real MariaDB: leases while engines start, stop, die and are copied."""

import asyncio
import shutil
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import pytest

from edges.projecting import DEADLINE_S, Rig, run, settings, until, written
from harness.configs import small_config
from harness.mariadb import HISTORY, LOG, Mariadb
from harness.processes import Server, start_matchengine
from harness.rpc import Client
from viabtc.edges.mysql_projection import LEASE_S, MysqlProjection, history
from viabtc.edges.store import Holder
from viabtc.matchengine.holder import open_holder


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
        began = time.monotonic()
        for database, name in ((HISTORY, "history"), (LOG, "operlog")):
            row = f"('{name}', 6, 'gone', UTC_TIMESTAMP(6))"
            mariadb.run(f"INSERT INTO viabtc_lease VALUES {row}", database)  # noqa: S608
        rig.deposit(1)
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
