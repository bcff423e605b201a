"""The exchange's markets, as its front door names them."""

import asyncio
from typing import Final

from viabtc.edges.httpclient import DoorError, connect
from viabtc.protocol.addresses import Place

_TIMEOUT_S: Final = 1.0
"""Source: the original waits so long for the list."""


async def listed_markets(door: Place) -> list[str]:
    """Names of all markets.

    Raises:
        DoorError: what answers is no front door, or it has no list.
        OSError: nothing answers in time.
    """
    async with asyncio.timeout(_TIMEOUT_S), connect(*door) as connection:
        answer = await connection.call("market.list")
    if answer.code is not None:
        raise DoorError(answer.message or f"error {answer.code}")
    return [market["name"] for market in answer.result]
