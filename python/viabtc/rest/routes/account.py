"""Balances of the user that the token stands for."""

from typing import Annotated

from fastapi import APIRouter, Query

from viabtc.rest.context import PREFIX, Cursor, Ex, Limit, microseconds, read_cursor, write_cursor
from viabtc.rest.errors import documented
from viabtc.rest.keys import User
from viabtc.rest.models import Balance, BalanceChange, Page

router = APIRouter(prefix=PREFIX, tags=["account"])

_PRIVATE = ("unauthenticated", "forbidden", "not_found")


@router.get("/balances", summary="Balances", responses=documented(*_PRIVATE))
async def balances(exchange: Ex, user: User) -> list[Balance]:
    found = await exchange.ask("balance.query", user)
    return [
        Balance(asset=asset, available=held["available"], frozen=held["freeze"])
        for asset, held in found.items()
    ]


@router.get("/balances/history", summary="Changes of balances", responses=documented(*_PRIVATE))
async def history(
    exchange: Ex,
    user: User,
    asset: Annotated[str, Query(max_length=15, description="Empty for all.")] = "",
    reason: Annotated[str, Query(max_length=30, description="Empty for all.")] = "",
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[BalanceChange]:
    # Changes carry no id: the cursor is a time up to which they are listed, and an offset.
    offset, until = read_cursor(cursor)
    if until is None:
        clock = await exchange.ask("balance.history", user, asset, reason, 0, 0, 0, 1)
        newest = clock["records"][0]["time"] if clock["records"] else 0
        until = int(newest) + 1
    found = await exchange.ask("balance.history", user, asset, reason, 0, until, offset, limit + 1)
    rows = found["records"]
    items = [
        BalanceChange(
            time=microseconds(row["time"]),
            asset=row["asset"],
            reason=row["business"],
            change=row["change"],
            balance=row["balance"],
            detail=row["detail"],
        )
        for row in rows[:limit]
    ]
    following = write_cursor(offset + limit, until) if len(rows) > limit else None
    return Page[BalanceChange](items=items, next=following)
