"""Redis: the master that Sentinel names, or one plain server."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from viabtc.protocol.addresses import Place

TIMEOUT_S: Final = 3.0
"""Of connecting and of each command. Source: ut_redis.c."""

Unreachable = (RedisError, OSError)
"""What a command raises when no master can be used; trying again later may succeed."""


def reason(error: Exception) -> str:
    """What a command failed of, without the client's own picture of its connections."""
    return str(error).partition(" : <")[0]


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """Where Redis is."""

    name: str
    """Group that the Sentinels watch; empty when the first address is the server itself."""
    addresses: tuple[Place, ...]
    db: int


@contextlib.asynccontextmanager
async def open_redis(settings: RedisSettings, *, is_once: bool = False) -> AsyncIterator[Any]:
    """A client that connects when it is used, each time to the master of the moment.

    With `is_once` no command is repeated when its answer is lost, for it may have been carried out,
    and answers are bytes instead of texts.
    """
    sentinel = None
    options: dict[str, Any] = {
        "db": settings.db,
        "decode_responses": not is_once,
        "socket_timeout": TIMEOUT_S,
        "socket_connect_timeout": TIMEOUT_S,
    }
    if is_once:
        options["retry"] = Retry(NoBackoff(), 0)
    if settings.name:
        sentinel = Sentinel(  # type: ignore[no-untyped-call]
            settings.addresses, sentinel_kwargs={"socket_timeout": TIMEOUT_S}
        )
        client = sentinel.master_for(settings.name, **options)
    else:
        host, port = settings.addresses[0]
        client = Redis(host=host, port=port, **options)
    try:
        yield client
    finally:
        await client.aclose()
        for watcher in sentinel.sentinels if sentinel is not None else ():
            await watcher.aclose()


async def ask_sentinel(place: Place, group: str) -> str:
    """`HOST:PORT` of the master that a Sentinel names; empty when it does not watch the group.

    Raises:
        Unreachable: it does not answer.
    """
    async with _sentinel(place) as client:
        named = await client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", group)
    return ":".join(named) if named else ""


async def quorum_problem(place: Place, group: str) -> str:
    """Why the Sentinels that one can see could not replace a master; empty when they could.

    Raises:
        Unreachable: it does not answer.
    """
    async with _sentinel(place) as client:
        try:
            await client.execute_command("SENTINEL", "CKQUORUM", group)
        except ResponseError as error:
            return str(error)
    return ""


@contextlib.asynccontextmanager
async def _sentinel(place: Place) -> AsyncIterator[Any]:
    host, port = place
    options: dict[str, Any] = {
        "decode_responses": True,
        "socket_timeout": TIMEOUT_S,
        "socket_connect_timeout": TIMEOUT_S,
    }
    async with Redis(host=host, port=port, **options) as client:
        yield client
