"""Market data in Redis: the original's keys, and ours beside them, always changed together.

| key | type | content |
| --- | --- | --- |
| `k:<market>:1s` `:1m` `:1h` `:1d` | hash | first second to candle |
| `k:<market>:deals` | list | newest deals, newest at the head |
| `k:<market>:last` | string | last price |
| `k:offset` | string | offset of the last deal; `0` when there was none |
| `viabtc:position` | string | JSON of offset and number: what the other keys hold |
| `viabtc:new:k:...` | as above | what is written anew; once whole it takes the place of `k:...` |
"""

import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from redis.exceptions import WatchError

from viabtc.edges.redis import Unreachable, reason
from viabtc.marketprice.store import (
    LENGTHS,
    RECENT_MAX,
    MarketChanges,
    Position,
    StoreConflictError,
    Stored,
    StoreError,
)

POSITION: Final = "viabtc:position"
NEW: Final = "viabtc:new:"
OFFSET: Final = "k:offset"

_FIELDS_MAX: Final = 5_000
"""Fields of a hash that one command reads, writes or removes: it bounds how long Redis is busy."""

_DIGITS_MAX: Final = 18
"""Of offsets and times."""

T = TypeVar("T")


class RedisStore:
    """The keys of one database."""

    def __init__(self, client: Any, *, is_reader: bool = False) -> None:
        self._client = client
        self._is_reader = is_reader
        """Whether nothing may be changed."""
        self._expected: bytes | None = None
        """Text of the position key as it was left."""
        self._is_whole = True
        """False until everything that is to be written anew is there."""

    async def holds(self, position: Position) -> bool:
        """As `Store.holds`."""
        text = _text(position)
        if await self._do(lambda: self._client.get(POSITION)) != text:
            return False
        self._expected = text
        self._is_whole = True
        return True

    async def load(self, kept_from: dict[str, int]) -> tuple[Position | None, dict[str, Stored]]:
        """As `Store.load`; data of an original have its offset for a position."""
        return await self._do(lambda: self._load(kept_from))

    async def save(self, changes: list[MarketChanges], position: Position) -> None:
        """As `Store.save`."""
        await self._do(lambda: self._save(changes, position))

    async def replace(self, changes: list[MarketChanges], position: Position) -> None:
        """As `Store.replace`."""
        await self._do(lambda: self._replace(changes, position))

    async def clean(self, kept_from: dict[str, int]) -> None:
        """As `Store.clean`."""
        await self._do(lambda: self._clean(kept_from))

    async def _do(self, act: Callable[[], Awaitable[T]]) -> T:
        try:
            return await act()
        except Unreachable as error:
            # The master may be another one by now: the next call asks for it again.
            with contextlib.suppress(*Unreachable):
                await self._client.connection_pool.disconnect()
            raise StoreError(f"redis: {type(error).__name__} {reason(error)}") from error

    async def _load(self, kept_from: dict[str, int]) -> tuple[Position | None, dict[str, Stored]]:
        client = self._client
        if not self._is_reader:
            await self._drop_unfinished()
        self._expected = await client.get(POSITION)
        offset = await client.get(OFFSET)
        markets = {}
        for key in await _keys(client, "k:*:last"):
            name = _name(key)
            markets[name] = await self._market(name, kept_from)
        position = _position(self._expected) if self._expected is not None else None
        if offset is None:
            return (position, markets) if position is not None else (None, {})
        counted = _integer(offset)
        if counted is None:
            raise StoreError(f"redis: {OFFSET} is {offset!r}, no offset: `viabtc klines rebuild`")
        if position is not None and (position.offset or 0) == counted:
            return position, markets
        # Without our position, or with another offset, an original went on from what was here: it
        # counts messages by their offsets alone.
        has_deals = any(market.deals for market in markets.values())
        # An original writes 0 before the first deal, and after the deal at offset 0.
        return Position(offset=counted if counted or has_deals else None), markets

    async def _market(self, name: str, kept_from: dict[str, int]) -> Stored:
        client = self._client
        candles = {}
        for length in LENGTHS:
            first = kept_from.get(length, 0)
            rows = client.hscan_iter(f"k:{name}:{length}", count=_FIELDS_MAX)
            read = [(_integer(field), text) async for field, text in rows]
            # What is no time is nobody's candle, and stays where it is.
            candles[length] = [(time, text) for time, text in read if time and time >= first]
        deals = await client.lrange(f"k:{name}:deals", 0, RECENT_MAX - 1)
        last = await client.get(f"k:{name}:last")
        return Stored(
            candles, list(reversed(deals)), last.decode("ascii", "replace") if last else None
        )

    async def _save(self, changes: list[MarketChanges], position: Position) -> None:
        text = _text(position)
        async with self._client.pipeline(transaction=True) as pipe:
            await pipe.watch(POSITION)
            found = await pipe.get(POSITION)
            if not self._is_whole:
                raise StoreConflictError("writing everything anew was not finished")
            if found != self._expected:
                raise StoreConflictError(f"{POSITION} is {found!r} instead of {self._expected!r}")
            pipe.multi()
            for market in changes:
                _write_market(pipe, market)
            pipe.set(OFFSET, position.offset or 0)
            pipe.set(POSITION, text)
            try:
                await pipe.execute()
            except WatchError as error:
                # The library says so of a connection that was lost on the way, too.
                found = await self._client.get(POSITION)
                if found == self._expected:
                    raise StoreError(f"redis: a transaction was not answered: {error}") from error
                if found != text:
                    raise StoreConflictError(f"{POSITION} was changed by somebody else") from error
        self._expected = text

    async def _replace(self, changes: list[MarketChanges], position: Position) -> None:
        """Writes everything beside what there is, then lets it take the place in one transaction.

        Whoever dies before that leaves everything as it was.
        """
        client = self._client
        self._is_whole = False
        await self._drop_unfinished()
        for market in changes:
            for length, rows in market["candles"].items():
                for start in range(0, len(rows), _FIELDS_MAX):
                    fields = dict(rows[start : start + _FIELDS_MAX])
                    await client.hset(f"{NEW}k:{market['market']}:{length}", mapping=fields)
        old, fresh = await _keys(client, "k:*"), await _keys(client, f"{NEW}k:*")
        async with client.pipeline(transaction=True) as pipe:
            if old:
                pipe.unlink(*old)
            for key in fresh:
                pipe.rename(key, key.removeprefix(NEW.encode()))
            for market in changes:
                _write_market(pipe, {**market, "candles": {}})
            pipe.set(OFFSET, position.offset or 0)
            pipe.set(POSITION, _text(position))
            await pipe.execute()
        self._expected = _text(position)
        self._is_whole = True

    async def _drop_unfinished(self) -> None:
        """Removes what somebody did not finish to write anew."""
        for key in await _keys(self._client, f"{NEW}*"):
            await self._client.unlink(key)

    async def _clean(self, kept_from: dict[str, int]) -> None:
        client = self._client
        for length, first in kept_from.items():
            for key in await _keys(client, f"k:*:{length}"):
                rows = client.hscan_iter(key, count=_FIELDS_MAX)
                old = [field async for field, _ in rows if (_integer(field) or first) < first]
                for start in range(0, len(old), _FIELDS_MAX):
                    await client.hdel(key, *old[start : start + _FIELDS_MAX])


def _write_market(pipe: Any, market: MarketChanges) -> None:
    name = market["market"]
    for length, rows in market["candles"].items():
        if rows:
            pipe.hset(f"k:{name}:{length}", mapping=dict(rows))
    pipe.set(f"k:{name}:last", market["last"])
    if market["deals"]:
        pipe.lpush(f"k:{name}:deals", *market["deals"])
        pipe.ltrim(f"k:{name}:deals", 0, RECENT_MAX - 1)


async def _keys(client: Any, pattern: str) -> list[bytes]:
    return sorted([key async for key in client.scan_iter(pattern, count=1000)])


def _text(position: Position) -> bytes:
    return json.dumps({"offset": position.offset, "number": position.number}).encode()


def _position(text: bytes) -> Position:
    try:
        document = json.loads(text)
        return Position(offset=document["offset"], number=document["number"])
    except (ValueError, LookupError, TypeError) as error:
        problem = f"redis: {POSITION} is {text[:100]!r}, no position: `viabtc klines rebuild`"
        raise StoreError(problem) from error


def _integer(text: bytes) -> int | None:
    """A number as keys and fields hold them; None for other texts."""
    return int(text) if text.isdigit() and len(text) <= _DIGITS_MAX else None


def _name(key: bytes) -> str:
    """The market of a key `k:<market>:last`.

    Raises:
        StoreError: it is no text, so that nobody could have asked for it.
    """
    try:
        return key.decode().removeprefix("k:").removesuffix(":last")
    except UnicodeDecodeError as error:
        raise StoreError(f"redis: the key {key!r} is no market's: remove it") from error
