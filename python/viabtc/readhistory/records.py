"""Rows of the history as the JSON text of answers, in the original's order and forms."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from viabtc import _core
from viabtc.readhistory.queries import Query

_ESCAPE: Final = re.compile(r"\\(u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u....|.)")

Row = Sequence[Any]


def answer(command: int, query: Query, rows: Sequence[Row]) -> bytes:
    """The result's text."""
    write = _WRITERS[command]
    if command == _FINISHED_DETAIL:
        return (write(rows[0]) if rows else "null").encode()
    records = ", ".join(map(write, rows))
    text = f'{{"offset": {query.offset}, "limit": {query.limit}, "records": [{records}]}}'
    return text.encode()


def _balance(row: Row) -> str:
    time, asset, business, change, balance, detail = row
    return (
        f'{{"time": {_real(time)}, "asset": {_text(asset)}, "business": {_text(business)},'
        f' "change": {_number(change)}, "balance": {_number(balance)},'
        f' "detail": {_object(detail)}}}'
    )


def _order(row: Row) -> str:
    order, created, finished, user, market, source, kind, side, *numbers = row
    names = ("price", "amount", "taker_fee", "maker_fee", "deal_stock", "deal_money", "deal_fee")
    texts = ", ".join(
        f'"{name}": {_number(value)}' for name, value in zip(names, numbers, strict=True)
    )
    return (
        f'{{"id": {order}, "ctime": {_real(created)}, "ftime": {_real(finished)}, "user": {user},'
        f' "market": {_text(market)}, "source": {_text(source)}, "type": {kind}, "side": {side},'
        f" {texts}}}"
    )


def _order_deal(row: Row) -> str:
    time, user, deal_id, role, price, amount, deal, fee, other = row
    return (
        f'{{"time": {_real(time)}, "user": {user}, "id": {deal_id}, "role": {role},'
        f' "price": {_number(price)}, "amount": {_number(amount)}, "deal": {_number(deal)},'
        f' "fee": {_number(fee)}, "deal_order_id": {other}}}'
    )


def _user_deal(row: Row) -> str:
    time, user, deal_id, side, role, price, amount, deal, fee, other, market = row
    return (
        f'{{"time": {_real(time)}, "user": {user}, "id": {deal_id}, "side": {side}, "role": {role},'
        f' "price": {_number(price)}, "amount": {_number(amount)}, "deal": {_number(deal)},'
        f' "fee": {_number(fee)}, "deal_order_id": {other}, "market": {_text(market)}}}'
    )


_FINISHED_DETAIL: Final = 210

_WRITERS: Final[dict[int, Callable[[Row], str]]] = {
    103: _balance,
    208: _order,
    209: _order_deal,
    _FINISHED_DETAIL: _order,
    306: _user_deal,
}


def _real(value: float) -> str:
    text = f"{value:.17g}"
    return text if "." in text or "e" in text else f"{text}.0"


def _number(value: Any) -> str:
    text = value if isinstance(value, str) else f"{value:f}"
    return f'"{text.rstrip("0").rstrip(".") if "." in text else text}"'


def _text(value: str) -> str:
    return _escapes(json.dumps(value, ensure_ascii=False))


def _object(text: str) -> str:
    """What is stored, on one line as the original's, when it is an object; `{}` otherwise."""
    return _escapes(_core.one_line_object(text) or "{}")


def _escapes(text: str) -> str:
    """As the original writes: capital hexadecimal digits, pairs of surrogates as characters."""
    return _ESCAPE.sub(_unescape, text) if "\\u" in text else text


def _unescape(match: "re.Match[str]") -> str:
    escape = match[1]
    if len(escape) > 5:  # noqa: PLR2004 - a pair
        character: str = json.loads(f'"\\{escape}"')
        return character
    return f"\\u{escape[1:].upper()}" if escape.startswith("u") else match[0]
