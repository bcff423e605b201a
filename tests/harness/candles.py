"""Market data recomputed from all deals by plain arithmetic, to compare answers with."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

STEPS: Final = {"1s": 1, "1m": 60, "1h": 3600, "1d": 86_400}
"""Lengths of candles on the UTC grid."""


@dataclass(frozen=True)
class Deal:
    """One deal of a market."""

    id: int
    time: float
    price: Decimal
    amount: Decimal
    side: str
    """`sell` or `buy`: what the taker did."""


def candles(
    deals: Iterable[Deal], step: int, *, is_zero_first: bool = False
) -> dict[int, list[Decimal]]:
    """By first second: open, close, high, low, volume, turnover."""
    rows: dict[int, list[Decimal]] = {}
    last: Decimal | None = Decimal(0) if is_zero_first else None
    for deal in deals:
        start = int(deal.time) // step * step
        opened = deal.price if last is None else last
        row = rows.setdefault(start, [opened, opened, opened, opened, Decimal(0), Decimal(0)])
        row[1] = deal.price
        row[2] = max(row[2], deal.price)
        row[3] = min(row[3], deal.price)
        row[4] += deal.amount
        row[5] += deal.amount * deal.price
        last = deal.price
    return rows


def filled(rows: dict[int, list[Decimal]], start: int, end: int, step: int) -> list[list[Any]]:
    """As `market.kline` shows them: gaps have the price before them."""
    shown = []
    earlier = [time for time in rows if time < start]
    close = rows[max(earlier)][1] if earlier else None
    for time in range(start // step * step, end + 1, step):
        if time in rows:
            close = rows[time][1]
            shown.append([time, *rows[time]])
        elif close is not None:
            shown.append([time, close, close, close, close, Decimal(0), Decimal(0)])
    return shown


def numbers(answer: list[list[Any]]) -> list[list[Any]]:
    """Rows of `market.kline` as numbers, without the market's name."""
    return [[row[0], *(Decimal(text) for text in row[1:7])] for row in answer]


def volume(deals: Iterable[Deal]) -> Decimal:
    """Everything that was traded."""
    return sum((deal.amount for deal in deals), Decimal(0))
