"""History and operation log of one process: written to a SQLite file, read from it."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from viabtc import _core
from viabtc.edges.sqlite import SqliteStore
from viabtc.edges.store import StoreError
from viabtc.readhistory.service import QUESTIONS_PER_WORKER, UNSHARDED, HistoryService
from viabtc.service.failure import StartFailure
from viabtc.service.projection import Projection
from viabtc.service.run import Figures, start_tasks

if TYPE_CHECKING:
    import asyncio

FILE: Final = "history.sqlite3"
"""Name of the store in the data directory."""

_WORKERS: Final = 2
"""Queries at a time: what the store has readers for."""


@dataclass(frozen=True, slots=True)
class HistoryPart:
    """The open store, what fills it and what reads it."""

    projection: Projection
    service: HistoryService
    serving: "asyncio.Task[None]"
    """Answers questions for as long as the process runs."""

    def is_alive(self) -> bool:
        """Whether questions are answered; a projection that ended says so, and is not missed."""
        return not self.serving.done()

    def is_ready(self) -> bool:
        """Whether the store has held every command since the start once."""
        return self.projection.has_caught_up

    def figures(self) -> Mapping[str, Figures]:
        """Metrics by part."""
        return {"history": self.projection.figures(), "readhistory": self.service.figures()}


@contextlib.asynccontextmanager
async def open_history(
    engine: _core.Engine, data: Path, log: Any, *, indented: bool
) -> AsyncIterator[HistoryPart]:
    """Opens the store and starts to follow; closing leaves what is missing to the next start.

    Raises:
        StartFailure: the file cannot be used.
    """
    async with contextlib.AsyncExitStack() as stack:
        store = SqliteStore(data / FILE)
        stack.push_async_callback(store.close)
        try:
            await store.open()
        except StoreError as error:
            raise StartFailure(
                f"the history cannot be opened: {error}",
                "check space and permissions; without the file it is written again from the feed",
            ) from error
        epoch = engine.recovery["epoch"]
        projection = Projection(
            "history", _core.Feed(engine, "store"), store.projection("history", epoch), engine, log
        )
        answers = _core.Answers(
            "readhistory", capacity=_WORKERS * QUESTIONS_PER_WORKER, indented=indented
        )
        service = HistoryService(answers, store, UNSHARDED, _WORKERS, log)
        _, serving = start_tasks(stack, projection.run(), service.run())
        yield HistoryPart(projection, service, serving)
