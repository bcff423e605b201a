"""Market data beside an engine of the same process: from its feed, kept in a SQLite file."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from viabtc import _core
from viabtc.marketprice.board import BoardSettings, new_board
from viabtc.marketprice.keeper import Keeper
from viabtc.marketprice.sqlite_store import open_sqlite_store
from viabtc.marketprice.store import Position, StoreError
from viabtc.service import run
from viabtc.service.failure import StartFailure

FLUSH_INTERVAL_S: Final = 1.0
"""Pause between two flushes; what was not stored is counted in again from the feed."""

FILE: Final = "market.sqlite3"


class MarketPart(run.Part):
    """A board that follows an engine, and its store."""

    def __init__(
        self,
        board: _core.MarketBoard,
        keeper: Keeper,
        wanted: int,
        tasks: "list[asyncio.Task[None]]",
    ) -> None:
        self.board = board
        self.tasks = tasks
        self._keeper = keeper
        self._wanted = wanted
        """Sequence from which it has caught up with what the engine did before the start."""

    async def call(self, command: int, params: bytes) -> bytes:
        """Answers one method of market data."""
        return self.board.call(command, params)

    def is_ready(self) -> bool:
        sequence: int = self.board.position["sequence"]
        return self.board.failure is None and sequence >= self._wanted

    @property
    def stored_sequence(self) -> int:
        """Of the last command whose deals the store has."""
        return self._keeper.stored.sequence if self._keeper.stored else 0

    def status(self) -> dict[str, Any]:
        return {
            "sequence": self.board.position["sequence"],
            "stored_sequence": self.stored_sequence,
            "failure": self.board.failure,
        }

    def figures(self) -> dict[str, run.Figures]:
        keeper = self._keeper
        figures = {"flushes_total": keeper.flushes, "flush_failures": keeper.failures}
        return {"market": {**self.board.metrics(), **figures}}


@contextlib.asynccontextmanager
async def open_market(
    engine: _core.Engine,
    data: Path,
    settings: BoardSettings,
    markets: tuple[str, ...],
    log: Any,
    *,
    indented: bool,
) -> AsyncIterator[MarketPart]:
    """Opens the market data of an engine whose files stand in `data`.

    Raises:
        StartFailure: the store cannot be used.
    """
    async with contextlib.AsyncExitStack() as stack:
        try:
            store = await stack.enter_async_context(open_sqlite_store(data / FILE))
            board = await new_board(settings, markets, debug=indented)
            keeper = Keeper(board, store, FLUSH_INTERVAL_S, log)
            position = await keeper.load()
            sequence: int = engine.recovery["sequence"]
            if position is not None and position.sequence > sequence:
                # The engine's files were put back: what came after never happened.
                log.warning(
                    "market data is ahead of the engine and is made again",
                    stored_sequence=position.sequence,
                    sequence=sequence,
                )
                await store.replace([], Position())
                board = await new_board(settings, markets, debug=indented)
                keeper = Keeper(board, store, FLUSH_INTERVAL_S, log)
        except StoreError as error:
            raise StartFailure(
                f"the market data cannot be read: {error}",
                "move the file away: it is made again from the engine's feed",
            ) from error
        board.follow(engine, str(data))
        stack.push_async_callback(keeper.close)
        stack.push_async_callback(asyncio.to_thread, board.stop)
        tasks = run.start_tasks(stack, keeper.run())
        yield MarketPart(board, keeper, sequence, tasks)
