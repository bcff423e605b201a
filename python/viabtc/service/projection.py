"""From the event feed to a store, each event once, however often either side stops.

The store's own position decides: after any failure it is read back, the feed goes there, and on it
goes. Nothing here waits for anything of the engine, and the engine never waits for this.
"""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from viabtc import _core
from viabtc.edges.store import DataError, FencedError, Position, Store, StoreError
from viabtc.edges.threads import background

ROWS_MAX: Final = 20_000
"""Rows and commands of a transaction: enough for long statements, small enough to repeat."""

PACE_S: Final = 0.02
"""Pause before what follows a small batch: a transaction for each command would take the engine's
processor and its disk's syncs."""

_BEAT_S: Final = 1.0
"""How often an idle store hears from us."""

_BEAT_AWAITED_S: Final = 0.25
"""As often where a second of silence has writes refused."""

_RETRY_MIN_S: Final = 0.1
_RETRY_MAX_S: Final = 5.0
"""Pauses between attempts double from the one to the other, with jitter."""

_KEEP_INTERVAL_S: Final = 10.0
"""Pause between two looks at how far projections are; files of the feed go after a day at least."""


class Projection:
    """Follows the feed of one engine for one store."""

    def __init__(
        self,
        name: str,
        feed: _core.Feed,
        store: Store,
        engine: _core.Engine,
        log: Any,
        rows_max: int = ROWS_MAX,
        *,
        pace_s: float = PACE_S,
        is_awaited: bool = False,
    ) -> None:
        """Joins the parts.

        Args:
            name: For logs and metrics.
            feed: Of the engine.
            store: Where it is written.
            engine: Told how far the store is.
            log: Of the service.
            rows_max: Rows and commands of a transaction.
            pace_s: From the beginning of a small batch to that of the next; none where clients
                wait.
            is_awaited: Whether clients wait for what is written here.
        """
        self.name = name
        self.position = Position()
        self.problem: str | None = None
        """Why it does not go on, until it does."""
        self.has_caught_up = False
        """Whether everything was in the store once since the start."""
        self.is_fenced = False
        """True once another engine writes in our place: the process must end."""
        self._feed = feed
        self._store = store
        self._engine = engine
        self._log = log
        self._rows_max = rows_max
        self._pace_s = 0.0 if is_awaited else pace_s
        self._beat_s = _BEAT_AWAITED_S if is_awaited else _BEAT_S
        self._is_awaited = is_awaited
        self._moved = asyncio.Event()
        self._renderer = background(1, f"{name}-render")
        self._size = rows_max
        """Rows of the next batch: fewer while the one that is refused is searched."""
        self._is_around = False
        """Whether the next batch is the refused one, alone."""
        self._writing = Position()
        """End of the batch that is being written."""
        self._refused = Position()
        """End of the last batch that was refused."""
        self._time_us = 0
        self._counts = {
            "rows_total": 0,
            "commands_total": 0,
            "batches_total": 0,
            "retries_total": 0,
            "dead_total": 0,
        }

    async def run(self) -> None:
        """Follows until it is cancelled, or until a failure that does not pass."""
        try:
            await self._retry()
        finally:
            self._renderer.shutdown(wait=False)

    async def _retry(self) -> None:
        pause_s = _RETRY_MIN_S
        while True:
            _raise_if_cancelled()
            before = self._counts["batches_total"]
            try:
                await self._begin()
                await self._follow()
            except DataError as error:
                self._narrow(error)
            except (StoreError, OSError) as error:
                if isinstance(error, StoreError) and not error.retriable:
                    self.is_fenced = isinstance(error, FencedError)
                    self._end(str(error))
                    return
                if self._counts["batches_total"] > before:
                    pause_s = _RETRY_MIN_S
                if self.problem is None:
                    self._log.error("projection waits", projection=self.name, reason=str(error))
                self.problem = str(error)
                self._counts["retries_total"] += 1
                await asyncio.sleep(pause_s * random.uniform(0.5, 1))
                pause_s = min(2 * pause_s, _RETRY_MAX_S)
            except _core.StartError as error:
                self._end("; ".join(error.args))
                return

    @property
    def epoch(self) -> int | None:
        """Under which the store takes what we write; None before it was ours once."""
        return self._store.epoch

    def reached(self) -> int:
        """The last command that the store holds whole."""
        return self.position.sequence

    def lag(self) -> int:
        """Durable commands that are not in the store."""
        durable: int = self._engine.metrics()["durable_sequence"]
        return max(0, durable - self.position.sequence)

    def figures(self) -> Mapping[str, float]:
        """Metrics: `lag_seconds` is the age of the last written command while others wait."""
        lag = self.lag()
        age = time.time() - self._time_us / 1e6 if lag and self._time_us else 0.0
        return {
            **self._counts,
            "sequence": self.position.sequence,
            "lag_commands": lag,
            "lag_seconds": max(0.0, age),
            "failing": self.problem is not None,
        }

    async def _begin(self) -> None:
        position = await self._store.position()
        durable: int = self._engine.metrics()["durable_sequence"]
        if position.sequence > durable:
            raise StoreError(
                f"the store of {self.name} is at command {position.sequence}, and the journal ends"
                f" at {durable}: they do not belong together, or the journal lost its end",
                retriable=False,
            )
        self.position = position
        self._acknowledge()
        self._feed.rewind(position.sequence, position.part)

    async def _follow(self) -> None:
        """Writes batch after batch; the next one is rendered meanwhile."""
        news = asyncio.Event()

        def hear() -> None:
            # At once: left readable while a batch is written, it would keep the loop turning.
            self._feed.clear()
            news.set()

        loop = asyncio.get_running_loop()
        loop.add_reader(self._feed.fileno(), hear)
        coming = asyncio.create_task(self._render())
        try:
            while True:
                _raise_if_cancelled()
                batch = await coming
                if batch is None:
                    self.problem = None
                    self.has_caught_up = True
                    try:
                        async with asyncio.timeout(self._beat_s):
                            await news.wait()
                    except TimeoutError:
                        await self._store.beat()
                        self._acknowledge()
                    news.clear()
                    coming = asyncio.create_task(self._render())
                    continue
                is_small = 4 * (batch.rows + batch.commands) < self._rows_max
                coming = asyncio.create_task(self._render(self._pace_s if is_small else 0.0))
                await self._write(batch)
                self._count(batch)
        finally:
            loop.remove_reader(self._feed.fileno())
            # A rendered batch that is dropped comes again: the feed is rewound.
            coming.cancel()
            await asyncio.wait([coming])
            if not coming.cancelled():
                coming.exception()

    async def _write(self, batch: _core.FeedBatch) -> None:
        self._writing = Position(batch.sequence, batch.part)
        if self._is_around:
            self._counts["dead_total"] += await self._store.write_around(batch, self.position)
            self._is_around = False
            self._log.error("rows were put aside", projection=self.name, sequence=batch.sequence)
        else:
            await self._store.write(batch, self.position)
        if self._writing >= self._refused:
            self._size = self._rows_max

    def _narrow(self, error: DataError) -> None:
        """Ten times smaller batches come next; a single row that is refused is put aside."""
        self._refused = max(self._refused, self._writing)
        if self._size > 1:
            self._size = max(1, self._size // 10)
        else:
            self._is_around = True
        self._log.warning("rows are refused", projection=self.name, reason=str(error))

    async def _render(self, pause_s: float = 0.0) -> _core.FeedBatch | None:
        await asyncio.sleep(pause_s)
        # The thread cannot be interrupted: it ends before a cancellation is answered.
        loop = asyncio.get_running_loop()
        rendering = loop.run_in_executor(self._renderer, self._feed.batch, self._size)
        try:
            return await asyncio.shield(rendering)
        except asyncio.CancelledError:
            await asyncio.wait([rendering])
            raise

    def _count(self, batch: _core.FeedBatch) -> None:
        if self.problem is not None:
            self._log.info("projection goes on", projection=self.name)
            self.problem = None
        self.position = Position(batch.sequence, batch.part)
        self._acknowledge()
        self._time_us = batch.time_us
        self._counts["rows_total"] += batch.rows
        self._counts["commands_total"] += batch.commands
        self._counts["batches_total"] += 1

    def _acknowledge(self) -> None:
        if self._is_awaited:
            self._engine.acknowledge(self.position.sequence)
        self._moved.set()

    async def until_caught_up(self) -> None:
        """Waits until everything durable is in the store."""
        while self.lag():
            self._moved.clear()
            await self._moved.wait()

    def _end(self, reason: str) -> None:
        self.problem = reason
        self._log.error("projection ended", projection=self.name, reason=reason)


async def keep_positions(
    directory: Path, positions: Mapping[str, Callable[[], int]], log: Any
) -> None:
    """Says again and again how far projections are, so that the feed waits for those behind."""
    while True:
        for name, position in positions.items():
            try:
                await asyncio.to_thread(_core.keep_feed_position, str(directory), name, position())
            except OSError as error:
                log.warning("a position is not kept", projection=name, reason=str(error))
        await asyncio.sleep(_KEEP_INTERVAL_S)


def _raise_if_cancelled() -> None:
    """A database driver may lose a cancellation that comes just as its wait ends."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
