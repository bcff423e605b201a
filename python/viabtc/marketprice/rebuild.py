"""Stored market data against topic and history: verified, and written anew.

The topic may have lost its oldest deals by age; these come from the history database, if there is
one. A store may hold deals that never were in either: candles before the first stay as they are.
"""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, TypedDict, cast

from viabtc import _core
from viabtc.edges.kafka import TopicReader
from viabtc.marketprice.board import BoardSettings, new_board
from viabtc.marketprice.history import DealHistory, first_deal
from viabtc.marketprice.store import (
    LENGTHS,
    RECENT_MAX,
    MarketChanges,
    Position,
    Store,
    Stored,
)

_LOADS_MAX: Final = 10
"""So often a store is read until nothing was written meanwhile."""


class RebuildError(Exception):
    """It cannot be done: what is wrong and where."""


class Report(TypedDict):
    """What a comparison found."""

    ok: bool
    markets: int
    candles: int
    """Compared or written."""
    differences: list[str]
    """The first of them."""
    offset: int | None


_DIFFERENCES_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class Recomputed:
    """What topic and history lead to."""

    markets: dict[str, MarketChanges]
    position: Position
    is_trimmed: bool
    """Whether oldest deals are gone."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where deals come from."""

    topic: TopicReader
    history: DealHistory | None
    """For those that the topic does not hold any more."""
    listed: frozenset[str] = frozenset()
    """Markets that are known without a deal: their first candles may open at 0."""


async def recompute(
    sources: Sources,
    settings: BoardSettings,
    end: int | None,
    before: dict[str, str],
) -> Recomputed:
    """Counts the deals of a topic in, from its beginning to the offset `end`, or to its end.

    Args:
        sources: The topic, and the history of what it lost.
        settings: Zone and retention.
        end: Offset of the last message that counts.
        before: By market, the price before the first deal.

    Raises:
        RebuildError: the topic does not reach to `end`.
        StoreError: the history cannot be read.
        TopicError: the broker failed.
    """
    reader = sources.topic
    bounds = await reader.bounds()
    last = bounds.end - 1 if end is None else end
    if last >= bounds.end:
        raise RebuildError(f"the topic ends at offset {bounds.end - 1}, and the store at {last}")
    board = await new_board(settings, tuple(sources.listed), debug=False)
    for market, price in before.items():
        board.restore(market, {}, [], price)
    reader.seek(bounds.beginning)
    offset = bounds.beginning - 1
    is_trimmed = bounds.beginning > 0
    is_first = True
    while offset < last:
        messages = [message for message in await reader.batch() if message[0] <= last]
        if messages:
            if is_first and sources.history is not None:
                is_trimmed = not await _complete(board, sources.history, first_deal(messages))
            is_first = False
            board.apply_messages(messages)
            offset = messages[-1][0]
    place, changes = board.take_changes()
    markets = {market["market"]: market for market in cast("list[MarketChanges]", changes)}
    return Recomputed(markets, Position(**place), is_trimmed)


async def _complete(board: _core.MarketBoard, history: DealHistory, before: int | None) -> bool:
    """Counts the deals before one in; whether these are all that there were."""
    if before is None:
        return False
    found = 0
    async for deals in history.deals(0, before):
        found += await asyncio.to_thread(board.complete, deals)
    return found == before - 1


def merged(
    stored: Stored | None, fresh: MarketChanges, kept_from: dict[str, int], *, is_trimmed: bool
) -> MarketChanges:
    """Candles of the topic, and those stored before its first deal."""
    if stored is None:
        return fresh
    candles = {}
    for length in LENGTHS:
        rows = [row for row in fresh["candles"][length] if row[0] >= kept_from.get(length, 0)]
        old = stored.candles.get(length, [])
        if fresh["candles"][length]:
            first = fresh["candles"][length][0][0]
            # Deals that the topic lost may lie in the bucket of the first that it has.
            limit = first + 1 if is_trimmed else first
            old = [row for row in old if row[0] < limit]
            rows = [row for row in rows if row[0] >= limit]
        candles[length] = sorted([*((time, text.decode()) for time, text in old), *rows])
    known = set(fresh["deals"])
    older = [deal for deal in (text.decode() for text in stored.deals) if deal not in known]
    deals = [*older, *fresh["deals"]][-RECENT_MAX:]
    last = fresh["last"] if fresh["deals"] else stored.last or "0"
    return {"market": fresh["market"], "last": last, "candles": candles, "deals": deals}


def prices_before(markets: dict[str, Stored], topic: Recomputed) -> dict[str, str]:
    """By market, the last stored close before the first deal of a topic that lost none."""
    prices: dict[str, str] = {}
    if topic.is_trimmed:
        return prices
    for name, fresh in topic.markets.items():
        stored = markets.get(name)
        if stored is None or not fresh["candles"]["1d"]:
            continue
        first = fresh["candles"]["1d"][0][0]
        older = [row for row in stored.candles.get("1d", []) if row[0] < first]
        if older:
            _, newest = max(older)
            prices[name] = json.loads(newest)[1]
    return prices


async def from_sources(
    store: Store, sources: Sources, settings: BoardSettings, *, is_written: bool
) -> Report:
    """Compares a store with topic and history; with `is_written` it is made equal.

    Raises:
        RebuildError, StoreError, TopicError: it cannot be done.
    """
    kept_from = (await new_board(settings, (), debug=False)).kept_from()
    position, markets = await store.load(kept_from)
    for _ in range(_LOADS_MAX):
        if is_written or position is None or await store.holds(position):
            break
        position, markets = await store.load(kept_from)
    else:
        raise RebuildError("the store changes while it is read: stop marketprice meanwhile")
    end = None if is_written or position is None else position.offset
    if not is_written and end is None:
        raise RebuildError("the store has counted no deal in, so there is nothing to compare")
    sources = replace(sources, listed=_known_before_deals(sources.listed, markets))
    topic = await recompute(sources, settings, end, {})
    before = prices_before(markets, topic)
    if before:
        topic = await recompute(sources, settings, end, before)
    wanted = {
        name: merged(markets.get(name), fresh, kept_from, is_trimmed=topic.is_trimmed)
        for name, fresh in topic.markets.items()
        # Of markets without deals there is nothing to compare.
        if name in markets or fresh["deals"] or is_written
    }
    for name, stored in markets.items():
        wanted.setdefault(name, unchanged(name, stored))
    differences = list(_differences(wanted, markets))
    if is_written:
        await store.replace(list(wanted.values()), topic.position)
    return {
        "ok": is_written or not differences,
        "markets": len(wanted),
        "candles": sum(
            len(rows) for market in wanted.values() for rows in market["candles"].values()
        ),
        "differences": differences[:_DIFFERENCES_MAX],
        "offset": topic.position.offset,
    }


def _known_before_deals(listed: frozenset[str], markets: dict[str, Stored]) -> frozenset[str]:
    """Markets that were listed when their first deal came: what is stored of that shows it."""
    known = set(listed)
    for name, stored in markets.items():
        if days := stored.candles.get("1d"):
            _, first = min(days)
            (known.add if Decimal(json.loads(first)[0]) == 0 else known.discard)(name)
    return frozenset(known)


def unchanged(name: str, stored: Stored) -> MarketChanges:
    """What a store has of a market, as it would be written."""
    return {
        "market": name,
        "last": stored.last or "0",
        "candles": {
            length: [(time, text.decode()) for time, text in sorted(stored.candles.get(length, []))]
            for length in LENGTHS
        },
        "deals": [deal.decode() for deal in stored.deals],
    }


def _differences(wanted: dict[str, MarketChanges], markets: dict[str, Stored]) -> Iterator[str]:
    for name, market in wanted.items():
        found = markets.get(name)
        if found is None:
            yield f"{name} is not in the store"
            continue
        stored = unchanged(name, found)
        for length in LENGTHS:
            ours, theirs = dict(stored["candles"][length]), dict(market["candles"][length])
            for time in sorted(ours.keys() | theirs.keys()):
                if ours.get(time) != theirs.get(time):
                    yield f"{name} {length} {time}: {ours.get(time)} instead of {theirs.get(time)}"
        for member in ("last", "deals"):
            if stored[member] != market[member]:
                yield f"{name} {member} differs"
