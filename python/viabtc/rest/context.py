"""What routes need of the app: the exchange, and how its answers read in the API."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from fastapi import Depends, Path, Query, Request

from viabtc.rest.errors import ApiError
from viabtc.rest.exchange import Exchange
from viabtc.rest.limits import OrderPace
from viabtc.rest.models import Order, Side
from viabtc.rest.names import name_of

SIDES: Final[dict[Side, int]] = {"ask": 1, "bid": 2}
_SIDE_NAMES: Final[dict[int, Side]] = {1: "ask", 2: "bid"}
_KIND_NAMES: Final[dict[int, Literal["limit", "market"]]] = {1: "limit", 2: "market"}
_ROLE_NAMES: Final[dict[int, Literal["maker", "taker"]]] = {1: "maker", 2: "taker"}

PREFIX: Final = "/api/v1"
"""Of the addresses of all routes."""

PAGE_MAX: Final = 100
"""Most items of a page."""


@dataclass(frozen=True, slots=True)
class Fees:
    """Rates that orders of the API are placed with, as decimal texts below 1."""

    taker: str = "0.002"
    maker: str = "0.001"


@dataclass(frozen=True, slots=True)
class Desk:
    """Where orders of the API are placed, and on what terms."""

    exchange: Exchange
    fees: Fees
    pace: OrderPace


async def exchange_of(request: Request) -> Exchange:
    """The exchange behind the app."""
    return desk_of(request).exchange


def desk_of(request: Request) -> Desk:
    """The desk of the app."""
    desk: Desk = request.app.state.desk
    return desk


Ex = Annotated[Exchange, Depends(exchange_of)]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX, description="Most items.")]
MarketName = Annotated[
    str, Query(max_length=30, description="A market's name.", examples=["ETHUSDT"])
]
MarketInPath = Annotated[str, Path(description="A market's name.", examples=["ETHUSDT"])]
Cursor = Annotated[
    str | None,
    Query(max_length=100, description="As `next` of the page before."),
]


def microseconds(seconds: float) -> int:
    """A time of the wire, which is no money, in microseconds."""
    return round(seconds * 1_000_000)


def side_name(side: int) -> Side:
    """A side of the wire."""
    return _SIDE_NAMES[side]


def kind_name(kind: int) -> Literal["limit", "market"]:
    """A kind of order of the wire."""
    return _KIND_NAMES[kind]


def role_name(role: int) -> Literal["maker", "taker"]:
    """A role of the wire."""
    return _ROLE_NAMES[role]


def open_order(row: Mapping[str, Any]) -> Order:
    """An order of the engine; one with something left that can rest is open."""
    is_limit = row["type"] == 1
    return Order(
        id=row["id"],
        client_order_id=name_of(row.get("source")),
        market=row["market"],
        side=side_name(row["side"]),
        type=kind_name(row["type"]),
        status="open" if is_limit and Decimal(row["left"]) > 0 else "finished",
        created_at=microseconds(row["ctime"]),
        updated_at=microseconds(row["mtime"]),
        price=row["price"],
        amount=row["amount"],
        remaining=row["left"],
        filled_base=row["deal_stock"],
        filled_quote=row["deal_money"],
        fee_paid=row["deal_fee"],
        taker_fee_rate=row["taker_fee"],
        maker_fee_rate=row["maker_fee"],
    )


def finished_order(row: Mapping[str, Any]) -> Order:
    """An order of the history."""
    is_quote_sized = row["type"] == 2 and row["side"] == 2  # noqa: PLR2004 - market bid
    filled = row["deal_money"] if is_quote_sized else row["deal_stock"]
    return Order(
        id=row["id"],
        client_order_id=name_of(row["source"]),
        market=row["market"],
        side=side_name(row["side"]),
        type=kind_name(row["type"]),
        status="finished",
        created_at=microseconds(row["ctime"]),
        updated_at=microseconds(row["ftime"]),
        price=row["price"],
        amount=row["amount"],
        remaining=plain(Decimal(row["amount"]) - Decimal(filled)),
        filled_base=row["deal_stock"],
        filled_quote=row["deal_money"],
        fee_paid=row["deal_fee"],
        taker_fee_rate=row["taker_fee"],
        maker_fee_rate=row["maker_fee"],
    )


def plain(number: Decimal) -> str:
    """A number without exponent and trailing zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def check_decimals(name: str, text: str, decimals: int) -> None:
    """Refuses a number that is finer than the market trades.

    Raises:
        ApiError: with the decimals that are possible.
    """
    given = len(text.partition(".")[2].rstrip("0"))
    if given > decimals:
        reason = f"{name} has {given} decimals, and this market takes {decimals}"
        raise ApiError("invalid_argument", reason, decimals=decimals)


def write_cursor(offset: int, last_id: int) -> str:
    """Where a page ended: items before it, and its last item."""
    return base64.urlsafe_b64encode(f"{offset}.{last_id}".encode()).decode().rstrip("=")


def read_cursor(cursor: str | None) -> tuple[int, int | None]:
    """Offset and last item; zero and none for the first page.

    Raises:
        ApiError: it is no cursor of ours.
    """
    if cursor is None:
        return 0, None
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        offset, last_id = (int(part) for part in text.split("."))
    except (binascii.Error, ValueError) as error:
        raise ApiError("invalid_argument", "cursor: not one that this API gave") from error
    if not (0 <= offset < 2**31 and 0 < last_id < 2**63):
        raise ApiError("invalid_argument", "cursor: not one that this API gave")
    return offset, last_id
