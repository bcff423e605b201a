"""Stored market data against the topic: verified, written anew, and completed from files.

The topic may have lost its oldest deals by age; these come from the history database, if there is
one. A store may hold deals that never were in either: candles before the first stay as they are.
"""

import asyncio
import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final, TypedDict, cast

from viabtc import _core
from viabtc.edges.kafka import TopicReader
from viabtc.marketprice.board import BoardSettings, new_board
from viabtc.marketprice.history import DealHistory, deal_message, first_deal
from viabtc.marketprice.store import (
    LENGTHS,
    RECENT_MAX,
    MarketChanges,
    Position,
    Store,
    Stored,
)

COLUMNS: Final = ("time", "market", "price", "amount", "side")
"""Of a file of deals; `id` may follow. Times are seconds, sides `sell` or `buy`."""

_BATCH: Final = 5_000

_LOADS_MAX: Final = 10
"""So often a store is read until nothing was written meanwhile."""

_SIDES: Final = {"sell": 1, "buy": 2}


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
    board = await new_board(settings, (), debug=False)
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
    topic = await recompute(sources, settings, end, {})
    before = prices_before(markets, topic)
    if before:
        topic = await recompute(sources, settings, end, before)
    wanted = {
        name: merged(markets.get(name), fresh, kept_from, is_trimmed=topic.is_trimmed)
        for name, fresh in topic.markets.items()
    }
    for name, stored in markets.items():
        wanted.setdefault(name, _unchanged(name, stored))
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


def _unchanged(name: str, stored: Stored) -> MarketChanges:
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
        stored = _unchanged(name, found)
        for length in LENGTHS:
            ours, theirs = dict(stored["candles"][length]), dict(market["candles"][length])
            for time in sorted(ours.keys() | theirs.keys()):
                if ours.get(time) != theirs.get(time):
                    yield f"{name} {length} {time}: {ours.get(time)} instead of {theirs.get(time)}"
        for member in ("last", "deals"):
            if stored[member] != market[member]:
                yield f"{name} {member} differs"


def read_deals(file: Path) -> Iterator[tuple[int, bytes, bool]]:
    """Deals of a file as messages: line, payload, and whether the deal has an id.

    Raises:
        RebuildError: the file cannot be read, or a line is no deal.
    """
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            rows = csv.DictReader(lines)
            missing = set(COLUMNS) - set(rows.fieldnames or ())
            if missing:
                raise RebuildError(f"{file} lacks the columns {', '.join(sorted(missing))}")
            for line, row in enumerate(rows, 2):
                yield line, _message(file, line, row), bool(row.get("id"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RebuildError(f"{file} cannot be read: {error}") from error


def _message(file: Path, line: int, row: dict[str, str]) -> bytes:
    try:
        seconds = Decimal(row["time"])
        side, number = _SIDES[row["side"]], int(row.get("id") or line)
    except (InvalidOperation, KeyError, ValueError, TypeError) as error:
        raise RebuildError(
            f"{file}, line {line}: time is in seconds, side is sell or buy, id is an integer"
        ) from error
    return deal_message(seconds, row["market"], row["price"], row["amount"], side, number)


async def from_file(store: Store, settings: BoardSettings, file: Path) -> Report:
    """Adds the deals of a file to a store whose market data begin after them.

    Raises:
        RebuildError, StoreError: it cannot be done; nothing was changed.
    """
    board = await new_board(settings, (), debug=False)
    kept_from = board.kept_from()
    position, markets = await store.load(kept_from)
    has_ids = True
    batch: list[tuple[int, bytes | None, int | None]] = []
    for line, payload, has_id in read_deals(file):
        has_ids = has_ids and has_id
        batch.append((line, payload, None))
        if len(batch) == _BATCH:
            _apply(board, file, batch)
            batch.clear()
    _apply(board, file, batch)
    imported: list[MarketChanges] = board.take_changes()[1]
    wanted = {name: _unchanged(name, stored) for name, stored in markets.items()}
    for market in imported:
        name = market["market"]
        wanted[name] = _earlier(market, wanted.get(name), kept_from, has_ids=has_ids)
    await store.replace(list(wanted.values()), position or Position())
    return {
        "ok": True,
        "markets": len(imported),
        "candles": sum(len(rows) for market in imported for rows in market["candles"].values()),
        "differences": [],
        "offset": position.offset if position is not None else None,
    }


def _apply(
    board: _core.MarketBoard, file: Path, batch: Iterable[tuple[int, bytes | None, int | None]]
) -> None:
    report = board.apply_messages(list(batch))
    for line, reason in report["refused"]:
        raise RebuildError(f"{file}, line {line}: {reason}")


def _earlier(
    market: MarketChanges, known: MarketChanges | None, kept_from: dict[str, int], *, has_ids: bool
) -> MarketChanges:
    """Imported market data before those that are known."""
    candles = {
        length: [row for row in market["candles"][length] if row[0] >= kept_from.get(length, 0)]
        for length in LENGTHS
    }
    deals = market["deals"] if has_ids else []
    if known is None:
        return {**market, "candles": candles, "deals": deals}
    days = known["candles"]["1d"]
    if days and market["candles"]["1d"] and market["candles"]["1d"][-1][0] >= days[0][0]:
        raise RebuildError(
            f"{market['market']} has market data from second {days[0][0]} on, and the file has"
            " deals of that day or later; only older ones can be added"
        )
    return {
        "market": market["market"],
        "last": known["last"] if days else market["last"],
        "candles": {length: [*candles[length], *known["candles"][length]] for length in LENGTHS},
        "deals": [*deals, *known["deals"]][-RECENT_MAX:],
    }
