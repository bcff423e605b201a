"""The topics of the matching engine: a projection of its feed to Kafka."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from viabtc import _core
from viabtc.edges.topics import open_topics_store
from viabtc.service.projection import Projection
from viabtc.service.run import cancel

NAME: Final = "topics"
"""Of the projection."""

FILE: Final = "topics.json"
"""Beside the journal."""

MESSAGES_MAX: Final = 5_000
"""Messages and commands that are sent before the next are rendered."""


@contextlib.asynccontextmanager
async def open_topics(
    engine: _core.Engine, brokers: str, data: Path, log: Any
) -> AsyncIterator[Projection]:
    """Sends what the engine did to the topics, while the block runs and a broker is there."""
    epoch: int = engine.recovery["epoch"]
    async with open_topics_store(brokers, data / FILE, epoch, log) as store:
        feed = _core.Feed(engine, "topics")
        projection = Projection(NAME, feed, store, engine, log, MESSAGES_MAX)
        task = asyncio.create_task(projection.run())
        try:
            yield projection
        finally:
            await cancel(task)
