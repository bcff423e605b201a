"""The engine's projections in MySQL: history, and operation log."""

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from viabtc import _core
from viabtc.edges.mysql import MysqlProjection, MysqlSettings, Render, history, operlog
from viabtc.matchengine.settings import Databases
from viabtc.service.projection import Projection
from viabtc.service.run import cancel

HISTORY: Final = "history"
OPERLOG: Final = "operlog"
"""Names of the projections, of their positions and of their leases."""


@contextlib.asynccontextmanager
async def open_projections(
    engine: _core.Engine, databases: Databases, log: Any, *, take_over: bool = False
) -> AsyncIterator[Sequence[Projection]]:
    """Follows the feed into the databases, whether they can be reached now or later."""
    holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    parts: tuple[tuple[str, MysqlSettings, Render], ...] = (
        (HISTORY, databases.history, history),
        (OPERLOG, databases.log, operlog),
    )
    async with contextlib.AsyncExitStack() as stack:
        projections = []
        for name, settings, render in parts:
            store = MysqlProjection(settings, name, holder, render, take_over=take_over)
            stack.push_async_callback(store.release)
            projection = Projection(name, _core.Feed(engine, name), store, engine, log)
            stack.push_async_callback(cancel, asyncio.create_task(projection.run()))
            projections.append(projection)
        yield projections
