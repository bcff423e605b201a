"""The keeper: whatever becomes of Redis, of the spool and of the process, no alert is lost."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from redis.exceptions import RedisError
from structlog.testing import CapturingLogger

from viabtc.alertcenter import keeper
from viabtc.alertcenter.keeper import Keeper

if TYPE_CHECKING:
    from redis.asyncio import Redis

DEADLINE_S = 20.0


class FakeRedis:
    """A list that takes, refuses, or never answers."""

    def __init__(self) -> None:
        self.list: list[str] = []
        self.does: Callable[[], Coroutine[Any, Any, None]] | None = None

    async def rpush(self, _: str, *alerts: str) -> None:
        if self.does is not None:
            await self.does()
        self.list += alerts


async def refuse() -> None:
    raise RedisError("away")


def kept(
    spool: Path, redis: FakeRedis, act: Callable[[Keeper], Coroutine[Any, Any, None]]
) -> Keeper:
    """Runs a keeper while `act` goes on, and ends it as a stop does."""

    async def run() -> Keeper:
        made = Keeper(cast("Redis", redis), spool, CapturingLogger())
        task = asyncio.create_task(made.run())
        await act(made)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return made

    return asyncio.run(run())


async def until(is_so: Callable[[], object]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < end, "did not come true"
        await asyncio.sleep(0.005)


def test_a_stop_while_redis_hangs_leaves_the_alert_in_the_file(tmp_path: Path) -> None:
    spool, redis = tmp_path / "spool", FakeRedis()
    asked = asyncio.Event()

    async def hang() -> None:
        asked.set()
        await asyncio.Event().wait()

    async def act(made: Keeper) -> None:
        redis.does = hang
        made.take("one")
        await asyncio.wait_for(asked.wait(), DEADLINE_S)

    kept(spool, redis, act)
    assert spool.read_text().split() == ["one"]


def test_what_waits_in_the_file_is_never_taken_out_before_the_list_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "_RETRY_S", 0.0)
    spool, redis = tmp_path / "spool", FakeRedis()
    spool.write_text("one\ntwo\n")
    seen: list[str] = []

    async def look() -> None:
        # What a kill at this moment would leave.
        seen.append(spool.read_text())
        await refuse()

    async def act(made: Keeper) -> None:
        redis.does = look
        await until(lambda: len(seen) > 1)
        made.take("three")
        await until(lambda: "three" in seen[-1])
        redis.does = None
        await until(lambda: not spool.exists())

    kept(spool, redis, act)
    assert all(text.split()[:2] == ["one", "two"] for text in seen), seen
    assert seen[-1].split() == ["one", "two", "three"]
    assert redis.list == ["one", "two", "three"]


def test_a_line_that_an_end_has_torn_stops_nothing(tmp_path: Path) -> None:
    spool, redis = tmp_path / "spool", FakeRedis()
    spool.write_bytes(b"one\ntw\xc3")

    async def fail_once() -> None:
        redis.does = None
        await refuse()

    async def act(made: Keeper) -> None:
        redis.does = fail_once
        made.take("three")
        await until(lambda: len(redis.list) == 3)

    kept(spool, redis, act)
    assert redis.list == ["one", "tw\ufffd", "three"]


def test_a_spool_that_cannot_be_written_costs_alerts_and_not_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "_RETRY_S", 0.0)
    redis = FakeRedis()

    async def act(made: Keeper) -> None:
        redis.does = refuse
        made.take("lost")
        await until(lambda: made.dropped)
        redis.does = None
        made.take("kept")
        await until(lambda: redis.list)

    made = kept(tmp_path / "no folder" / "spool", redis, act)
    assert (redis.list, made.kept, made.dropped) == (["kept"], 1, 1)


def test_what_waits_for_a_redis_that_hangs_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "WAITING_MAX", 3)
    spool, redis = tmp_path / "spool", FakeRedis()
    asked = asyncio.Event()

    async def hang() -> None:
        asked.set()
        await asyncio.Event().wait()

    async def act(made: Keeper) -> None:
        redis.does = hang
        for number in range(5):
            made.take(str(number))
        await asyncio.wait_for(asked.wait(), DEADLINE_S)

    assert kept(spool, redis, act).dropped == 2
    assert spool.read_text().split() == ["0", "1", "2"]
