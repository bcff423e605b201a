"""The engine's projections in MySQL: history, and operation log."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from viabtc import _core
from viabtc.edges.mysql import MysqlSettings
from viabtc.edges.mysql_projection import MysqlProjection, Render, history, operlog
from viabtc.edges.store import Holder
from viabtc.matchengine.settings import Databases
from viabtc.service.projection import PACE_S, ROWS_MAX, Projection
from viabtc.service.run import cancel

HISTORY: Final = "history"
OPERLOG: Final = "operlog"
"""Names of the projections, of their positions and of their leases."""

_HISTORY_ROWS_MAX: Final = 80_000
"""Rows of a transaction of the history: a statement for each of its 500 tables costs the server as
much as ten rows, so 160 rows a statement take a seventh less of its processor than 40."""

_HISTORY_PACE_S: Final = 0.1
"""How often the history is written when little happens. Source: the timer of the original."""


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
    parts = (
        _Part(HISTORY, databases.history, history, _HISTORY_ROWS_MAX, _HISTORY_PACE_S),
        _Part(OPERLOG, databases.log, operlog, ROWS_MAX, PACE_S),
    )
    async with contextlib.AsyncExitStack() as stack:
        projections = []
        for part in parts:
            is_claimed = claimed is not None and part.name == OPERLOG
            if claimed is not None and is_claimed:
                store = claimed
            else:
                store = MysqlProjection(
                    *(part.settings, part.name, holder, part.render),
                    take_over=take_over,
                    epoch_min=epoch,
                )
                stack.push_async_callback(store.release)
            projection = Projection(
                *(part.name, _core.Feed(engine, part.name), store, engine, log, part.rows_max),
                pace_s=part.pace_s,
                is_awaited=is_claimed,
            )
            stack.push_async_callback(cancel, asyncio.create_task(projection.run()))
            projections.append(projection)
        yield projections


@dataclass(frozen=True, slots=True)
class _Part:
    """One projection: where it writes, and how much at a time."""

    name: str
    settings: MysqlSettings
    render: Render
    rows_max: int
    pace_s: float
