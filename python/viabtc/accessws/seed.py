"""A market's board made of what marketprice answers, exactly as of one deal.

The answers are not of one moment: deals may be counted between them. What is exact in them anyway
are the newest deals of the first answer, and every candle that ended before the second of the last
of those deals: a later deal is in a later candle. The candles that this second lies in are put
together from those inside them and from the deals; only their opening price, which no later deal
changes, is taken from the answers.
"""

from collections.abc import Iterable
from decimal import Context, Decimal
from typing import Any, Final, NamedTuple

import msgspec

from viabtc import _core
from viabtc.accessws.pushes import encode
from viabtc.contract.methods import BY_NAME
from viabtc.edges.clock import ZoneTable

COVERED_S: Final = 1_200
"""A board gives the figures of the last 24 hours for this long: what leaves them meanwhile is
known by the second."""

_DAY_S: Final = 86_400

_MONTHS_S: Final = 100 * _DAY_S
"""Days that are known: the month before, and 30 days in which its first price is looked for."""

_NEAR_S: Final = 120

_SUMS: Final = Context(prec=60)
"""Sums of 34 digits are exact."""

_TAKERS: Final = {"sell": 1, "buy": 2}

_MEMBERS: Final = 7
"""Of a candle: time, open, close, high, low, volume, turnover."""

Row = list[Any]
"""A candle as `market.kline` shows it."""


class SeedError(Exception):
    """The answers do not make a board; trying again may help."""


class NothingTradedError(Exception):
    """The market had no deal yet, or none for as long as candles are kept, or is not known."""


class Deal(msgspec.Struct):
    """A deal as `market.deals` shows it."""

    id: int
    seconds: float = msgspec.field(name="time")
    price: str
    amount: str
    type: str

    @property
    def second(self) -> int:
        """The whole second that it lies in."""
        return int(self.seconds)


class Newest(NamedTuple):
    """The newest deals of a market."""

    texts: list[bytes]
    """Oldest first."""
    deals: list[Deal]
    """The same."""

    @property
    def second(self) -> int:
        """That of the last deal: candles which ended before are final."""
        return self.deals[-1].second


def read_newest(result: bytes, limit: int) -> Newest:
    """Reads the answer to `market.deals`.

    Raises:
        NothingTradedError: it is empty.
        SeedError: it may lack deals of the last second.
    """
    texts = [bytes(text) for text in msgspec.json.decode(result, type=list[msgspec.Raw])][::-1]
    if not texts:
        raise NothingTradedError
    newest = Newest(texts, [msgspec.json.decode(text, type=Deal) for text in texts])
    if len(texts) >= limit and newest.deals[0].second == newest.second:
        message = f"more than {limit} deals in a second"
        raise SeedError(message)
    return newest


class Candles(NamedTuple):
    """Something for each length of candles that a board keeps."""

    seconds: Any
    minutes: Any
    hours: Any
    days: Any
    leaving: Any
    """Candles of a second that leave the last 24 hours soon."""


def windows(second: int, now: int) -> Candles:
    """Start, end and interval of each question for candles.

    Args:
        second: That of the last deal.
        now: The current second.
    """
    hour = second // 3600 * 3600
    return Candles(
        (second - second % 60 - _NEAR_S, second, 1),
        (min(hour, now - _DAY_S) - 3600, second, 60),
        (second - 3 * _DAY_S, second, 3600),
        (second - _MONTHS_S, second, _DAY_S),
        # Never beyond the last deal: there a question would have no candles to answer with.
        (min(now - _DAY_S - 2, second), min(now - _DAY_S + COVERED_S, second), 1),
    )


def new_board(
    market: str, zone: ZoneTable, newest: Newest, answers: Candles, last: str
) -> _core.MarketBoard:
    """A board that holds everything up to the last of `newest`.

    Args:
        market: Its name.
        zone: Whose midnights begin days.
        newest: Asked for before the candles.
        answers: Rows for the questions of `windows`.
        last: The answer to `market.last`, which has the digits of the deal's message.

    Raises:
        NothingTradedError: the last deal is older than candles are kept.
        SeedError: the answers do not fit together.
    """
    second = newest.second
    board = _core.MarketBoard([market], zone=zone)
    starts = (second, second // 60 * 60, second // 3600 * 3600)
    day = max((row[0] for row in answers.days if row[0] <= second), default=-1)
    kept: dict[str, list[tuple[int, bytes]]] = {}
    inner: list[Row] = []
    for name, start, rows in zip(
        ("1s", "1m", "1h", "1d"), (*starts, day), answers[:4], strict=True
    ):
        final = [row for row in rows if row[0] < start and _is_traded(row)]
        current = _current(rows, start, inner)
        if name == "1s":
            kept[name] = _texts(row for row in answers.leaving if row[0] < start)
        kept[name] = [*kept.get(name, []), *_texts([*final, current])]
        inner = [*final, current]
    before = [
        text for text, deal in zip(newest.texts, newest.deals, strict=True) if deal.second < second
    ]
    skipped = board.restore(market, kept, before, None)
    board.complete([_message(market, deal) for deal in newest.deals if deal.second == second])
    _check_day(board, market, second, day)
    if Decimal(last) == Decimal(newest.deals[-1].price):
        skipped += board.restore(market, {}, [], last)
    if skipped:
        message = f"{skipped} entries of the answers are malformed"
        raise SeedError(message)
    return board


def _check_day(board: _core.MarketBoard, market: str, second: int, day: int) -> None:
    params = encode([market, second, second, _DAY_S])
    answer = msgspec.json.decode(board.call(BY_NAME["market.kline"].command, params))
    ours = answer["result"][0][0]
    if ours != day:
        message = (
            f"the day began at {day} for marketprice and at {ours} here: give both the same"
            " viabtc.timezone"
        )
        raise SeedError(message)


def _current(rows: list[Row], start: int, inner: list[Row]) -> Row:
    """The candle that begins at `start`, without the deals of the last second."""
    opening = next((row for row in rows if row[0] == start), None)
    if opening is None:
        # The last deal is older than candles are kept: a board begins with the next one.
        raise NothingTradedError
    price = opening[1]
    inside = [row for row in inner if row[0] >= start and _is_traded(row)]
    close = inside[-1][2] if inside else price
    high = max((price, *(row[3] for row in inside)), key=Decimal)
    low = min((price, *(row[4] for row in inside)), key=Decimal)
    return [start, price, close, high, low, _sum(inside, 5), _sum(inside, 6)]


def _sum(rows: list[Row], member: int) -> str:
    total = Decimal(0)
    for row in rows:
        total = _SUMS.add(total, Decimal(row[member]))
    return format(total, "f")


def _is_traded(row: Row) -> bool:
    """Whether it is a candle, and not the filling between two."""
    return Decimal(row[5]) != 0


def _texts(rows: Iterable[Row]) -> list[tuple[int, bytes]]:
    """Candles as stores hold them."""
    return [(row[0], encode(row[1:_MEMBERS])) for row in rows]


def _message(market: str, deal: Deal) -> bytes:
    """A deal as a message of the topic; nobody looks at its orders, fees and assets."""
    taker = _TAKERS[deal.type]
    nobody = (0, 0, 0, 0)
    members = (deal.price, deal.amount, "0", "0", taker, deal.id, "", "")
    return encode([deal.seconds, market, *nobody, *members])
