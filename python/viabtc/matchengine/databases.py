"""The engine's projections in MySQL: history, and operation log."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from viabtc import _core
from viabtc.edges.mysql import MysqlProjection, MysqlSettings, Render, history, operlog
from viabtc.edges.store import Holder
from viabtc.matchengine.settings import Databases
from viabtc.service.projection import Projection
from viabtc.service.run import cancel

HISTORY: Final = "history"
OPERLOG: Final = "operlog"
"""Names of the projections, of their positions and of their leases."""


@contextlib.asynccontextmanager
async def open_projections(
    engine: _core.Engine,
    databases: Databases,
    log: Any,
    holder: Holder,
    *,
    take_over: bool = False,
    claimed: MysqlProjection | None = None,
) -> AsyncIterator[Sequence[Projection]]:
    """Follows the feed into the databases, whether they can be reached now or later.

    Args:
        engine: Whose feed.
        databases: Where.
        log: Of the service.
        holder: Of the leases.
        take_over: Whether to write over an engine that wrote a moment ago.
        claimed: The operation log, when it is ours already; writes are then acknowledged once they
            are there.
    """
    epoch: int = engine.recovery["epoch"]
    parts: tuple[tuple[str, MysqlSettings, Render], ...] = (
        (HISTORY, databases.history, history),
        (OPERLOG, databases.log, operlog),
    )
    async with contextlib.AsyncExitStack() as stack:
        projections = []
        for name, settings, render in parts:
            is_claimed = claimed is not None and name == OPERLOG
            if claimed is not None and is_claimed:
                store = claimed
            else:
                store = MysqlProjection(
                    settings, name, holder, render, take_over=take_over, epoch_min=epoch
                )
                stack.push_async_callback(store.release)
            projection = Projection(
                name, _core.Feed(engine, name), store, engine, log, is_awaited=is_claimed
            )
            stack.push_async_callback(cancel, asyncio.create_task(projection.run()))
            projections.append(projection)
        yield projections
