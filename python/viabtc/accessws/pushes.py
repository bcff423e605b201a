"""Notifications as texts: what a state looks like to who has the one before, and to who is new.

Each class remembers one key's last state and turns the backend's next answer into a push.
"""

from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

CLEAN_INTERVAL_S: Final = 60.0
"""A book is shown whole again when it changes this long after it was. Source: aw_depth.c."""

Levels = list[tuple[str, str]]
"""Price and amount, best first."""

_REMOVED: Final = "0"


class Push(NamedTuple):
    """A notification."""

    update: bytes
    """For who has the state before."""
    snapshot: bytes
    """For who is new or behind."""


class Book(msgspec.Struct):
    """Both sides of a depth."""

    asks: Levels
    bids: Levels


def notification(method: str, *params: bytes) -> bytes:
    """A notification of JSON texts."""
    return b'{"method": "%b", "params": [%b], "id": null}' % (method.encode(), b", ".join(params))


def deals_frame(market: str) -> tuple[bytes, bytes]:
    """What stands before and behind the deals of a `deals.update`."""
    head, _, tail = notification("deals.update", encode(market), b"[|]").rpartition(b"|")
    return head, tail


def encode(value: Any) -> bytes:
    """JSON with the original's separators."""
    if isinstance(value, list | tuple):
        return b"[%b]" % b", ".join(map(encode, value))
    if isinstance(value, dict):
        members = (b"%b: %b" % (encode(key), encode(member)) for key, member in value.items())
        return b"{%b}" % b", ".join(members)
    return msgspec.json.encode(value)


class DepthPushes:
    """Snapshot, then differences, then whole again every minute."""

    def __init__(self, market: str) -> None:
        self._market = encode(market)
        self._book: Book | None = None
        self._clean_at = 0.0

    def compose(self, result: bytes, now_s: float) -> Push | None:
        """The push that leads to `result`; None when nothing changed."""
        book = msgspec.json.decode(result, type=Book)
        before, self._book = self._book, book
        whole = notification("depth.update", b"true", bytes(result), self._market)
        if before is None:
            self._clean_at = now_s
            return Push(whole, whole)
        changes = {
            side: found
            for side, found in (
                ("asks", differences(before.asks, book.asks)),
                ("bids", differences(before.bids, book.bids, is_descending=True)),
            )
            if found
        }
        if not changes:
            return None
        if now_s - self._clean_at >= CLEAN_INTERVAL_S:
            self._clean_at = now_s
            return Push(whole, whole)
        return Push(notification("depth.update", b"false", encode(changes), self._market), whole)


def differences(before: Levels, after: Levels, *, is_descending: bool = False) -> Levels:
    """What changed, in the order of the book: new amounts, and 0 for levels that are gone.

    Levels that left the window are reported too: who cuts the book to its limit is not disturbed.
    """
    old, new = dict(before), dict(after)
    changed = [(price, amount) for price, amount in after if old.get(price) != amount]
    changed += [(price, _REMOVED) for price in old if price not in new]
    changed.sort(key=lambda level: Decimal(level[0]), reverse=is_descending)
    return changed


class KlinePushes:
    """The last candles, when the last of them changed."""

    def __init__(self) -> None:
        self._last: list[Any] | None = None

    def compose(self, result: bytes) -> Push | None:
        """The push that shows `result`; None when nothing changed or nothing was traded."""
        candles: list[list[Any]] = msgspec.json.decode(result)
        if not candles or candles[-1] == self._last:
            return None
        self._last = candles[-1]
        text = notification("kline.update", bytes(result)[1:-1].strip())
        return Push(text, text)


class PricePushes:
    """The last price, unless nothing was traded yet."""

    def __init__(self, market: str) -> None:
        self._market = encode(market)
        self._last = Decimal(0)

    def compose(self, result: bytes) -> Push | None:
        """The push that shows `result`; None when the price is the same number."""
        price = Decimal(msgspec.json.decode(result, type=str))
        if price == self._last:
            return None
        self._last = price
        update = notification("price.update", self._market, bytes(result))
        # Source: aw_price.c strips zeros for who joins. `normalize` would cut to 28 digits.
        plain = format(price, "f")
        stripped = plain.rstrip("0").rstrip(".") if "." in plain else plain
        return Push(update, notification("price.update", self._market, encode(stripped)))


class FigurePushes:
    """An object of figures, when any of them changed."""

    def __init__(self, method: str, market: str) -> None:
        self._method = method
        self._market = encode(market)
        self._last: dict[str, Any] | None = None

    def compose(self, result: bytes) -> Push | None:
        """The push that shows `result`; None when nothing changed."""
        figures: dict[str, Any] = msgspec.json.decode(result)
        if figures == self._last:
            return None
        self._last = figures
        text = notification(self._method, self._market, bytes(result))
        return Push(text, text)
