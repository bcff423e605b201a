"""Keeps a store in step with a board, also when the store lost what it had."""

import asyncio
from typing import Any, Final

from viabtc import _core
from viabtc.marketprice.store import Position, Store, StoreConflictError, StoreError

CLEAN_INTERVAL_S: Final = 3600.0
"""Pause between two removals of old candles."""

STORE_CLEAN_INTERVAL_S: Final = 86_400.0
"""Pause between two removals of old candles from the store."""

STALE_FLUSHES: Final = 3
"""So many flushes may fail before the operator must know."""


class Keeper:
    """Stores what changes in a board."""

    def __init__(self, board: _core.MarketBoard, store: Store, interval_s: float, log: Any) -> None:
        self.board = board
        self.stored: Position | None = None
        """What the store has; None for nothing."""
        self.flushes = 0
        self.failures = 0
        """Flushes that failed since the last that did not."""
        self.rebuilds = 0
        self._unsure: Position | None = None
        """Of a flush that nobody answered."""
        self._store = store
        self._interval_s = interval_s
        self._log = log

    async def load(self) -> Position | None:
        """Reads the board from the store; None when the store holds none.

        Raises:
            StoreError: it cannot be read.
        """
        position, markets = await self._store.load(self.board.kept_from())
        self.stored = position
        skipped = 0
        for name, market in markets.items():
            skipped += await asyncio.to_thread(
                self.board.restore, name, market.candles, market.deals, market.last
            )
        if skipped:
            self._log.warning("entries of the store are malformed and were left out", count=skipped)
        if position is not None:
            self.board.set_position(
                offset=position.offset, number=position.number, sequence=position.sequence
            )
        return position

    async def flush(self) -> None:
        """Stores what changed, with the position that it belongs to.

        When nothing did, it looks whether the store still has what it was given.

        Raises:
            StoreError: it is away; the changes wait for the next time.
        """
        if self._unsure is not None and await self._store.holds(self._unsure):
            # The transaction without an answer took place.
            self._accept(self._unsure)
        self._unsure = None
        # What an earlier flush did not store comes again with what changed since.
        place, changes = await asyncio.to_thread(self.board.take_changes)
        position = Position(**place)
        problem = None
        if changes or position != self.stored:
            self._unsure = position
            try:
                await self._store.save(changes, position)
            except StoreConflictError as error:
                problem = str(error)
        elif await self._store.holds(position):
            return
        else:
            # Without deals nothing else would find out that a master without them took over.
            problem = "what was stored last is not there"
        if problem is not None:
            self._log.error("the store lost market data and is written anew", error=problem)
            self.board.put_back_all()
            place, changes = await asyncio.to_thread(self.board.take_changes)
            self._unsure = position = Position(**place)
            await self._store.replace(changes, position)
            self.rebuilds += 1
        self._accept(position)
        self._unsure = None

    def _accept(self, position: Position) -> None:
        self.board.stored()
        self.stored = position
        self.flushes += 1

    async def run(self) -> None:
        """Stores every interval, and removes what is too old, until it is cancelled."""
        loop = asyncio.get_running_loop()
        cleaned = loop.time()
        # The first time with the board's: also of a service that is started anew each day.
        stored_clean = cleaned + CLEAN_INTERVAL_S - STORE_CLEAN_INTERVAL_S
        while True:
            await asyncio.sleep(self._interval_s)
            await self._try_flush()
            if loop.time() - cleaned >= CLEAN_INTERVAL_S:
                cleaned = loop.time()
                await asyncio.to_thread(self.board.clean)
            if loop.time() - stored_clean >= STORE_CLEAN_INTERVAL_S:
                stored_clean = loop.time()
                await self._try_clean()

    async def close(self) -> None:
        """Stores what is left, once."""
        await self._try_flush()

    async def _try_flush(self) -> None:
        try:
            await self.flush()
        except StoreError as error:
            self.failures += 1
            report = self._log.error if self.failures == STALE_FLUSHES else self._log.warning
            report("market data is not stored", error=str(error), failures=self.failures)
        else:
            self.failures = 0

    async def _try_clean(self) -> None:
        try:
            await self._store.clean(self.board.kept_from())
        except StoreError as error:
            self._log.warning("old candles stay in the store", error=str(error))
