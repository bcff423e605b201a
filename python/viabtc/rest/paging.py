"""Pages over lists by offset, newest first, while new items come in front."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from viabtc.rest.context import PAGE_MAX, read_cursor, write_cursor
from viabtc.rest.exchange import Exchange

Rows = list[dict[str, Any]]

_CALLS_MAX: Final = 20
"""Calls for one page; above it the page is short, and its cursor leads on."""


async def page(
    fetch: Callable[[int, int], Awaitable[Rows]], cursor: str | None, limit: int
) -> tuple[Rows, str | None]:
    """Items with ids below the cursor's, at most `limit`, and the cursor behind them.

    New items push the others to higher offsets, so those that were seen are passed over by their
    ids; items that went away pull the others down, so it starts a page earlier than it ended.

    Args:
        fetch: Rows from an offset on, at most so many, ids descending.
        cursor: Of the page before.
        limit: Most items.

    Raises:
        ApiError: the cursor is none of ours, or a service refused.
    """
    offset, last_id = read_cursor(cursor)
    offset = max(0, offset - PAGE_MAX) if last_id is not None else 0
    found: Rows = []
    is_end = False
    for _ in range(_CALLS_MAX):
        rows = await fetch(offset, PAGE_MAX)
        fresh = [row for row in rows if last_id is None or row["id"] < last_id]
        found += fresh
        offset += len(rows)
        is_end = len(rows) < PAGE_MAX
        if is_end or len(found) > limit:
            break
    items = found[:limit]
    if is_end and len(found) <= limit:
        return items, None
    seen = offset - (len(found) - len(items))
    if items:
        last_id = items[-1]["id"]
    return items, write_cursor(seen, last_id) if last_id is not None else None


async def page_of(
    exchange: Exchange, cursor: str | None, limit: int, method: str, *params: object
) -> tuple[Rows, str | None]:
    """As `page`, over the records of a method that takes an offset and a count behind `params`."""

    async def fetch(offset: int, count: int) -> Rows:
        found = await exchange.ask(method, *params, offset, count)
        rows: Rows = found["records"]
        return rows

    return await page(fetch, cursor, limit)
