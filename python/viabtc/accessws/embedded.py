"""The hub beside an engine of the same process: pushes come from its feed, at once."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from viabtc import _core
from viabtc.accessws.auth import TokenAuthenticator
from viabtc.accessws.main import HubPart
from viabtc.accessws.owner import owning
from viabtc.accessws.settings import DEPTH_INTERVALS, DEPTH_LIMITS
from viabtc.accessws.sources import Paces
from viabtc.protocol.addresses import Place
from viabtc.service import run
from viabtc.service.failure import core_failures
from viabtc.service.tokens import Tokens

AUTH_TIMEOUT_S: Final = 1.0

RECHECK_S: Final = 1.0
"""Pause between two looks at the tokens that open connections stand on."""

PING_INTERVAL_S: Final = 30.0
"""Silence after which a client is pinged; twice as much closes its connection."""


class Backends(NamedTuple):
    """What answers, by the names of the services."""

    engine: _core.Engine
    market: _core.MarketBoard
    readhistory: _core.Answers


@contextlib.asynccontextmanager
async def open_hub(
    backends: Backends, data: Path, place: Place, tokens: Tokens, log: Any
) -> AsyncIterator[HubPart]:
    """Opens the websocket port of the engine whose files stand in `data`.

    Raises:
        StartFailure: it cannot be opened.
    """
    options = {
        "ping_interval_s": PING_INTERVAL_S,
        "depth_limits": list(DEPTH_LIMITS),
        "depth_intervals": list(DEPTH_INTERVALS),
    }
    with core_failures("--ws"):
        bind = [f"tcp@{place[0]}:{place[1]}"]
        hub = _core.Hub(bind, **backends._asdict(), options=options)
        hub.follow(str(data), backends.market)
    async with contextlib.AsyncExitStack() as stack:
        owner = await stack.enter_async_context(
            owning(
                hub,
                TokenAuthenticator(tokens),
                Paces(),
                AUTH_TIMEOUT_S,
                recheck_s=RECHECK_S,
                is_polling=False,
                log=log,
            )
        )
        yield HubPart(hub, owner, tasks=run.start_tasks(stack, *owner.works()))
