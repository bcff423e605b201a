"""What each topic shows: its question to a backend, and what the answer comes to."""

import time
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from viabtc import _core
from viabtc.accessws.channels import Channel, find_channel
from viabtc.accessws.pushes import (
    DepthPushes,
    FigurePushes,
    KlinePushes,
    PricePushes,
    Push,
    deals_frame,
    encode,
)

PERIOD_S: Final = 86_400
"""Of `state`: the last day."""

DEALS_MAX: Final = 100
"""Deals that a newcomer gets."""

_NEW_DEALS_MAX: Final = 10_000
"""Deals that may have been made since the last look: what marketprice gives at most. Asked for a
hundred, as the original does, it would leave out the older ones of a burst."""

CLOCK_S: Final = 1.0
"""Candles and figures change as time passes, so they are looked at this often at least."""


@dataclass(frozen=True, slots=True)
class Paces:
    """Pauses between two pushes of one topic, in seconds."""

    deals: float = 0.1
    price: float = 0.1
    state: float = 0.1
    today: float = 0.1
    kline: float = 0.1
    depth: float = 0.1

    def of_channel(self, channel: Channel, *, is_fed: bool) -> float:
        """Of a channel of the stream."""
        if channel.word.startswith("depth "):
            return self.depth
        if channel.method == "market.deals" or channel.is_private:
            # Told at once where changes are noted at once.
            return 0.0 if is_fed or channel.is_private else self.deals
        return self.state


class Source(Protocol):
    """What one topic shows: its question, and what the answer comes to."""

    method: str
    word: str
    """Change that it follows: `depth MARKET` or `deals MARKET`."""
    follows_time: bool

    def params(self) -> bytes:
        """The question's parameters now."""

    def show(self, hub: _core.Hub, topic: str, result: bytes) -> None:
        """Publishes what is new."""


class Depth:
    """`depth LIMIT INTERVAL MARKET`."""

    method = "order.depth"
    follows_time = False

    def __init__(self, limit: str, interval: str, market: str) -> None:
        self.word = f"depth {market}"
        self._params = encode([market, int(limit), interval])
        self._pushes = DepthPushes(market)

    def params(self) -> bytes:
        return self._params

    def show(self, hub: _core.Hub, topic: str, result: bytes) -> None:
        _publish(hub, topic, self._pushes.compose(result, time.monotonic()))


class Kline:
    """`kline INTERVAL MARKET`."""

    method = "market.kline"
    follows_time = True

    def __init__(self, interval: str, market: str, pace_s: float) -> None:
        self.word = f"deals {market}"
        self._market = market
        self._interval = int(interval)
        # Source: aw_kline.c asks for its interval and a second more.
        self._window_s = int(max(pace_s, CLOCK_S) + 1)
        self._pushes = KlinePushes()

    def params(self) -> bytes:
        now = int(time.time())
        return encode([self._market, now - self._window_s, now, self._interval])

    def show(self, hub: _core.Hub, topic: str, result: bytes) -> None:
        _publish(hub, topic, self._pushes.compose(result))


class Price:
    """`price MARKET`."""

    method = "market.last"
    follows_time = False

    def __init__(self, market: str) -> None:
        self.word = f"deals {market}"
        self._params = encode([market])
        self._pushes = PricePushes(market)

    def params(self) -> bytes:
        return self._params

    def show(self, hub: _core.Hub, topic: str, result: bytes) -> None:
        push = self._pushes.compose(result)
        if push is not None:
            hub.publish([(topic, push.update, push.snapshot)], whole=True)


class State:
    """`state MARKET`."""

    method = "market.status"
    follows_time = True

    def __init__(self, market: str) -> None:
        self.word = f"deals {market}"
        self._params = encode([market, PERIOD_S])
        self._pushes = FigurePushes("state.update", market)

    def params(self) -> bytes:
        return self._params

    def show(self, hub: _core.Hub, topic: str, result: bytes) -> None:
        _publish(hub, topic, self._pushes.compose(result))


class Today:
    """`today MARKET`."""

    method = "market.status_today"
    follows_time = True

    def __init__(self, market: str) -> None:
        self.word = f"deals {market}"
        self._params = encode([market])
        self._pushes = FigurePushes("today.update", market)

    def params(self) -> bytes:
        return self._params

    def show(self, hub: _core.Hub, topic: str, result: bytes) -> None:
        _publish(hub, topic, self._pushes.compose(result))


class Deals:
    """`deals MARKET`: the last deals once; in one process further ones come without asking."""

    method = "market.deals"
    follows_time = False

    def __init__(self, market: str, *, is_fed: bool) -> None:
        # Where the hub follows the engine itself, no change makes it ask again.
        self.word = "" if is_fed else f"deals {market}"
        self._market = market
        self._head, self._tail = deals_frame(market)
        self._last_id = 0

    def params(self) -> bytes:
        most = _NEW_DEALS_MAX if self._last_id else DEALS_MAX
        return encode([self._market, most, self._last_id])

    def show(self, hub: _core.Hub, topic: str, result: bytes) -> None:
        members = []
        for text in reversed(msgspec.json.decode(result, type=list[msgspec.Raw])):
            number: int = msgspec.json.decode(text)["id"]
            members.append((number, bytes(text)))
        if members:
            self._last_id = members[-1][0]
        hub.extend(topic, self._head, self._tail, members, whole=True)


def _publish(hub: _core.Hub, topic: str, push: Push | None) -> None:
    if push is not None:
        hub.publish([(topic, push.update, push.snapshot)])


def find_source(topic: str, paces: Paces, *, is_fed: bool) -> tuple[Source, float] | None:
    """What feeds a topic, and its pace; None for topics that are told without asking.

    Args:
        topic: As the hub names it.
        paces: Of all kinds.
        is_fed: The hub follows the engine itself.
    """
    kind, _, rest = topic.partition(" ")
    source: Source
    match kind:
        case "v1":
            channel = find_channel(rest)
            if channel is None:
                return None
            return channel, paces.of_channel(channel, is_fed=is_fed)
        case "depth":
            limit, interval, market = rest.split(" ", 2)
            source = Depth(limit, interval, market)
        case "kline":
            interval, _, market = rest.partition(" ")
            source = Kline(interval, market, paces.kline)
        case "price":
            source = Price(rest)
        case "state":
            source = State(rest)
        case "today":
            source = Today(rest)
        case "deals":
            source = Deals(rest, is_fed=is_fed)
        case _:
            return None
    return source, getattr(paces, kind)
