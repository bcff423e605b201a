"""The parameters of the five history methods, and the SQL that answers them.

Parameters are read as the original reads them: an element that is no integer counts as 0 where an
integer is expected; what is then out of range is an invalid argument.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

LIMIT_MAX: Final = 101
"""Most records of an answer."""

SIDES: Final = (0, 1, 2)
"""Any, ask, bid."""

ORDER_COLUMNS: Final = (
    "id, create_time, finish_time, user_id, market, source, t, side, price, amount,"
    " taker_fee, maker_fee, deal_stock, deal_money, deal_fee"
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a store names its tables and its parameters."""

    table: Callable[[str, int], str]
    """The table of a family that holds a user or an order."""
    place: str
    """Stands for a parameter."""


@dataclass(frozen=True, slots=True)
class Query:
    """What to select, and which records to show."""

    family: str
    key: int
    """User or order, which decides the table."""
    columns: str
    filters: tuple[tuple[str, Any], ...]
    """Comparisons, such as `user_id =`, with their values."""
    offset: int = 0
    limit: int = 1

    def sql(self, dialect: Dialect) -> tuple[str, Sequence[Any]]:
        """Statement and values; records come newest first."""
        place = dialect.place
        where = " AND ".join(f"{comparison} {place}" for comparison, _ in self.filters)
        text = (
            f"SELECT {self.columns} FROM {dialect.table(self.family, self.key)} WHERE {where}"  # noqa: S608
            f" ORDER BY id DESC LIMIT {place} OFFSET {place}"
        )
        return text, (*(value for _, value in self.filters), self.limit, self.offset)


def read_query(command: int, params: list[Any]) -> Query | None:
    """The query of a command; None for parameters that cannot be used."""
    reader = _READERS.get(command)
    try:
        return reader(params) if reader else None
    except _Invalid:
        return None


class _Invalid(Exception):  # noqa: N818 - never leaves this module
    """A parameter that cannot be used."""


def _balance_history(params: list[Any]) -> Query:
    user, asset, business, start, end, offset, limit = _exactly(params, 7)
    user_id = _user(user)
    filters: list[tuple[str, Any]] = [("user_id =", user_id)]
    for column, value in (("asset", _text(asset)), ("business", _text(business))):
        if value:
            filters.append((f"{column} =", value))
    filters += _span("time", start, end)
    return Query(
        "balance_history",
        user_id,
        "time, asset, business, `change`, balance, detail",
        tuple(filters),
        _offset(offset),
        _limit(limit),
    )


def _finished_orders(params: list[Any]) -> Query:
    if len(params) < 6:  # noqa: PLR2004 - the method's parameters
        raise _Invalid
    user, market, start, end, offset, limit = params[:6]
    user_id = _user(user)
    side = _integer(params[6]) if len(params) > 6 else 0  # noqa: PLR2004 - the optional seventh
    if side not in SIDES:
        raise _Invalid
    filters = [
        ("user_id =", user_id),
        ("market =", _text(market)),
        *_span("create_time", start, end),
    ]
    if side:
        filters.append(("side =", side))
    return Query(
        "order_history", user_id, ORDER_COLUMNS, tuple(filters), _offset(offset), _limit(limit)
    )


def _order_deals(params: list[Any]) -> Query:
    order, offset, limit = _exactly(params, 3)
    order_id = _order(order)
    columns = "time, user_id, deal_id, role, price, amount, deal, fee, deal_order_id"
    filters = (("order_id =", order_id),)
    return Query("deal_history", order_id, columns, filters, _offset(offset), _limit(limit))


def _finished_detail(params: list[Any]) -> Query:
    (order,) = _exactly(params, 1)
    order_id = _order(order)
    return Query("order_detail", order_id, ORDER_COLUMNS, (("id =", order_id),))


def _user_deals(params: list[Any]) -> Query:
    user, market, offset, limit = _exactly(params, 4)
    user_id = _user(user)
    columns = "time, user_id, deal_id, side, role, price, amount, deal, fee, deal_order_id, market"
    filters = (("user_id =", user_id), ("market =", _text(market)))
    return Query("user_deal_history", user_id, columns, filters, _offset(offset), _limit(limit))


_READERS: Final[dict[int, Callable[[list[Any]], Query]]] = {
    103: _balance_history,
    208: _finished_orders,
    209: _order_deals,
    210: _finished_detail,
    306: _user_deals,
}


def _exactly(params: list[Any], count: int) -> list[Any]:
    if len(params) != count:
        raise _Invalid
    return params


def _integer(value: Any) -> int:
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return value if is_integer else 0


def _within(value: Any, low: int, high: int) -> int:
    number = _integer(value)
    if not low <= number <= high:
        raise _Invalid
    return number


def _user(value: Any) -> int:
    return _within(value, 1, 2**32 - 1)


def _order(value: Any) -> int:
    return _within(value, 1, 2**63 - 1)


def _offset(value: Any) -> int:
    return _within(value, 0, 2**63 - 1)


def _limit(value: Any) -> int:
    return _within(value, 1, LIMIT_MAX)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Invalid
    return value


def _span(column: str, start: Any, end: Any) -> list[tuple[str, float]]:
    """`start <= column < end`, 0 for no bound; as unsigned numbers, so that -1 is very late."""
    first, last = (_integer(value) % 2**64 for value in (start, end))
    if last and first > last:
        raise _Invalid
    filters = []
    if first:
        filters.append((f"{column} >=", float(first)))
    if last:
        filters.append((f"{column} <", float(last)))
    return filters
