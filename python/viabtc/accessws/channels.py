"""What each channel of the stream shows: its question, and the steps that answers come to.

A channel is a state: its first answer is told whole, what changed in later ones as a step. Who was
away for too long, or has not read, gets the whole again.
"""

import time
from collections.abc import Iterable
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from viabtc import _core
from viabtc.accessws.pushes import Book, Levels, differences, encode
from viabtc.contract.channels import CHANNELS, book_checksum

BOOK_LEVELS: Final = 100
"""Of each side of a book."""

TRADES_KEPT: Final = 100
"""Deals of a snapshot."""

_TRADES_MAX: Final = 1_000
"""Deals that are asked for at once: as many are an answer that may lack some."""

_ORDERS_MAX: Final = 100
"""Open orders that are shown."""

_PERIOD_S: Final = 86_400
"""Of a ticker."""


class Step(NamedTuple):
    """What an answer comes to."""

    update: bytes | None
    """What changed; None when everybody starts again from the whole."""
    snapshot: bytes


class Composer(Protocol):
    """Remembers a channel's last state and turns the next answer into a step."""

    method: str
    word: str
    follows_time: bool

    def params(self) -> bytes:
        """The question's parameters now."""

    def compose(self, result: bytes) -> Step | None:
        """The step that leads to `result`; None when nothing changed."""


class Channel:
    """A source of one topic of the stream, `v1 CHANNEL` or `v1 CHANNEL USER`.

    Args:
        name: As clients name it.
        is_conflated: Who is behind may get the whole in the place of what he has not read.
        is_private: Changes are noted in every process, so that nothing is asked for at intervals.
    """

    def __init__(
        self, name: str, composer: Composer, *, is_conflated: bool, is_private: bool
    ) -> None:
        self.method = composer.method
        self.word = composer.word
        self.follows_time = composer.follows_time
        self.is_private = is_private
        self._name = name
        self._composer = composer
        self._is_conflated = is_conflated

    def params(self) -> bytes:
        """The question's parameters now."""
        return self._composer.params()

    def show(self, hub: _core.Hub, topic: str, result: bytes) -> None:
        """Publishes what is new."""
        step = self._composer.compose(result)
        if step is not None:
            hub.step(topic, self._name, *step, conflated=self._is_conflated)

    def refuse(self, hub: _core.Hub, topic: str) -> None:
        """Says to subscribers that there is no such channel."""
        error = {"code": 1, "message": "no such market or interval"}
        hub.publish(
            [(topic, encode({"channel": self._name, "type": "error", "error": error}), None)]
        )


class Trades:
    """Deals, oldest first."""

    method = "market.deals"
    follows_time = False

    def __init__(self, market: str) -> None:
        self.word = f"deals {market}"
        self._market = market
        self._last_id: int | None = None
        self._newest: list[bytes] = []

    def params(self) -> bytes:
        if self._last_id is None:
            return encode([self._market, TRADES_KEPT, 0])
        return encode([self._market, _TRADES_MAX, self._last_id])

    def compose(self, result: bytes) -> Step | None:
        texts = [bytes(text) for text in msgspec.json.decode(result, type=list[msgspec.Raw])][::-1]
        if not texts and self._last_id is not None:
            return None
        is_gapless = self._last_id is not None and len(texts) < _TRADES_MAX
        if texts:
            self._last_id = msgspec.json.decode(texts[-1])["id"]
        else:
            self._last_id = 0
        self._newest = [*self._newest, *texts][-TRADES_KEPT:]
        return Step(_list(texts) if is_gapless else None, _list(self._newest))


class Depth:
    """Levels of both sides, with a checksum of the whole."""

    method = "order.depth"
    follows_time = False

    def __init__(self, market: str) -> None:
        self.word = f"depth {market}"
        self._params = encode([market, BOOK_LEVELS, "0"])
        self._book: Book | None = None

    def params(self) -> bytes:
        return self._params

    def compose(self, result: bytes) -> Step | None:
        book = msgspec.json.decode(result, type=Book)
        before, self._book = self._book, book
        checksum = {"checksum": book_checksum(book.asks, book.bids)}
        snapshot = encode({"asks": book.asks, "bids": book.bids, **checksum})
        if before is None:
            return Step(None, snapshot)
        asks = differences(before.asks, book.asks)
        bids = differences(before.bids, book.bids, is_descending=True)
        if not asks and not bids:
            return None
        return Step(encode({"asks": asks, "bids": bids, **checksum}), snapshot)


class BestPrices:
    """The best bid and offer, always whole; null for a side that is empty."""

    method = "order.depth"
    follows_time = False

    def __init__(self, market: str) -> None:
        self.word = f"depth {market}"
        self._params = encode([market, 1, "0"])
        self._last: Book | None = None

    def params(self) -> bytes:
        return self._params

    def compose(self, result: bytes) -> Step | None:
        book = msgspec.json.decode(result, type=Book)
        if book == self._last:
            return None
        before, self._last = self._last, book
        text = encode({"bid": _first(book.bids), "ask": _first(book.asks)})
        return Step(None if before is None else text, text)


class Candles:
    """The newest candles of one interval, oldest first."""

    method = "market.kline"
    follows_time = True

    _MEMBERS: Final = ("time", "open", "close", "high", "low", "volume", "turnover")

    def __init__(self, market: str, interval: str) -> None:
        self.word = f"deals {market}"
        self._market = market
        self._interval_s = int(interval)
        self._last: list[list[Any]] | None = None

    def params(self) -> bytes:
        now = int(time.time())
        return encode([self._market, now - self._interval_s, now, self._interval_s])

    def compose(self, result: bytes) -> Step | None:
        candles: list[list[Any]] = msgspec.json.decode(result)
        if candles == self._last:
            return None
        before, self._last = self._last, candles
        changed = [candle for candle in candles if candle not in (before or ())]
        snapshot = encode([self._object(candle) for candle in candles])
        if before is None:
            return Step(None, snapshot)
        # An interval that went by without a deal takes candles away and brings nothing.
        return (
            Step(encode([self._object(candle) for candle in changed]), snapshot)
            if changed
            else None
        )

    def _object(self, candle: list[Any]) -> dict[str, Any]:
        return dict(zip(self._MEMBERS, candle, strict=False))


class Ticker:
    """Figures of the last day, always whole."""

    method = "market.status"
    follows_time = True

    def __init__(self, market: str) -> None:
        self.word = f"deals {market}"
        self._params = encode([market, _PERIOD_S])
        self._last: Any = None

    def params(self) -> bytes:
        return self._params

    def compose(self, result: bytes) -> Step | None:
        figures = msgspec.json.decode(result)
        if figures == self._last:
            return None
        before, self._last = self._last, figures
        return Step(None if before is None else bytes(result), bytes(result))


class _Record(msgspec.Struct):
    id: int


class _Page(msgspec.Struct):
    records: list[msgspec.Raw]


class Orders:
    """A user's open orders in a market: those that are new or changed, and ids of those gone."""

    method = "order.pending"
    follows_time = False

    def __init__(self, user: str, market: str) -> None:
        self.word = f"orders {user} {market}"
        self._params = encode([int(user), market, 0, _ORDERS_MAX])
        self._last: dict[int, bytes] | None = None

    def params(self) -> bytes:
        return self._params

    def compose(self, result: bytes) -> Step | None:
        records = msgspec.json.decode(result, type=_Page).records
        orders = {msgspec.json.decode(text, type=_Record).id: bytes(text) for text in records}
        before, self._last = self._last, orders
        snapshot = b'{"open": %b, "gone": []}' % _list(orders.values())
        if before is None:
            return Step(None, snapshot)
        changed = [text for number, text in orders.items() if before.get(number) != text]
        gone = [number for number in before if number not in orders]
        if not changed and not gone:
            return None
        return Step(b'{"open": %b, "gone": %b}' % (_list(changed), encode(gone)), snapshot)


class Balances:
    """A user's balances: of a step those that changed."""

    method = "balance.query"
    follows_time = False

    def __init__(self, user: str) -> None:
        self.word = f"balances {user}"
        self._params = encode([int(user)])
        self._last: dict[str, Any] | None = None

    def params(self) -> bytes:
        return self._params

    def compose(self, result: bytes) -> Step | None:
        balances: dict[str, Any] = msgspec.json.decode(result)
        before, self._last = self._last, balances
        if before is None:
            return Step(None, bytes(result))
        changed = {asset: one for asset, one in balances.items() if before.get(asset) != one}
        return Step(encode(changed), bytes(result)) if changed else None


def find_channel(topic: str) -> Channel | None:
    """What feeds a topic of the stream.

    Args:
        topic: `CHANNEL` or `CHANNEL USER`.
    """
    name, _, user = topic.partition(" ")
    kind, *parts = name.split(":")
    composer: Composer
    match kind:
        case "trades":
            composer = Trades(*parts)
        case "book":
            composer = Depth(*parts)
        case "bbo":
            composer = BestPrices(*parts)
        case "candles":
            composer = Candles(*parts)
        case "ticker":
            composer = Ticker(*parts)
        case "orders":
            composer = Orders(user, *parts)
        case "balances":
            composer = Balances(user)
        case _:
            return None
    row = CHANNELS[kind]
    return Channel(name, composer, is_conflated=row.is_conflated, is_private=row.is_private)


def _first(levels: Levels) -> tuple[str, str] | None:
    return levels[0] if levels else None


def _list(texts: Iterable[bytes]) -> bytes:
    return b"[%b]" % b", ".join(texts)
