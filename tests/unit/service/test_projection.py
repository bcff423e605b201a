"""The projection's loop beside a store that takes its time."""

import asyncio
import json
import select
import time
from pathlib import Path

import structlog

from harness.configs import small_config
from viabtc import _core
from viabtc.edges.store import Batch, Position
from viabtc.service.projection import Projection

DEPOSIT = 102
DEADLINE_S = 10.0
LATER_DEPOSITS = 20
"""More than are rendered ahead while a batch is written."""


class SlowStore:
    """Keeps the first batch waiting while more comes, and watches the descriptor of the feed."""

    def __init__(self, engine: _core.Engine, feed: _core.Feed) -> None:
        self.engine = engine
        self.feed = feed
        self.heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.numbers = iter(range(1, 1_000))

    @property
    def epoch(self) -> int | None:
        return 1

    def deposit(self) -> None:
        self.engine.call(
            DEPOSIT, json.dumps([1, "BTC", "test", next(self.numbers), "1", {}]).encode()
        )

    def wait_until_unreadable(self) -> None:
        descriptor = self.feed.fileno()
        deadline = time.monotonic() + DEADLINE_S
        while select.select([descriptor], [], [], 0)[0]:
            assert time.monotonic() < deadline, "the news is still readable"
            time.sleep(0.01)

    async def position(self) -> Position:
        return Position()

    async def beat(self) -> None:
        pass

    async def write(self, batch: Batch, after: Position) -> None:
        del batch, after
        if self.heard.done():
            return
        for _ in range(LATER_DEPOSITS):
            await asyncio.to_thread(self.deposit)
            await asyncio.sleep(0.01)
        await asyncio.to_thread(self.wait_until_unreadable)
        self.heard.set_result(None)

    async def write_around(self, batch: Batch, after: Position) -> int:
        raise NotImplementedError


def test_the_loop_does_not_turn_while_a_batch_is_written(tmp_path: Path) -> None:
    """News that waits must not stay readable: the loop would run all the time."""

    async def follow() -> None:
        engine = _core.Engine(json.dumps(small_config()), str(tmp_path), segment_bytes=1 << 20)
        feed = _core.Feed(engine, "store")
        store = SlowStore(engine, feed)
        store.deposit()
        projection = Projection("slow", feed, store, engine, structlog.get_logger())
        running = asyncio.create_task(projection.run())
        try:
            async with asyncio.timeout(2 * DEADLINE_S):
                await store.heard
        finally:
            running.cancel()
            await asyncio.wait([running])
            engine.stop()

    asyncio.run(follow())
