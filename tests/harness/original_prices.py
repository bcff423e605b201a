"""What an original's marketprice does with topic and Redis, from `spec/marketprice.md` alone.

Sections 3 to 5: which messages it counts, what it makes of them, what it loads and flushes. It runs
in UTC, knows the markets of its list, and sees no repeats: a message that comes twice counts twice.
"""

import json
from collections import deque
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Context, Decimal
from typing import Any, Final

_DECIMAL128: Final = Context(prec=34, rounding=ROUND_DOWN)

_STEPS: Final = {"1s": 1, "1m": 60, "1h": 3600, "1d": 86_400}

_KEPT_S: Final = {"1s": 604_800, "1m": 525_600 * 60, "1h": 87_600 * 3600}
"""Its defaults of `sec_max`, `min_max` and `hour_max`."""

_DEALS_MAX: Final = 10_000

_SIDES: Final = {1: "sell", 2: "buy"}


@dataclass
class Market:
    """What it holds of one market."""

    last: Decimal
    candles: dict[str, dict[int, list[Decimal]]] = field(
        default_factory=lambda: {name: {} for name in _STEPS}
    )
    """By length and first second: open, close, high, low, volume, deal."""
    deals: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_DEALS_MAX))
    """Newest first."""
    changed: set[tuple[str, int]] = field(default_factory=set)
    unsaved: list[str] = field(default_factory=list)


class Original:
    """One process, from its start to its end; nothing is flushed at the end."""

    def __init__(self, listed: tuple[str, ...]) -> None:
        self.offset = 0
        """Of the last message that was counted."""
        self.refused: list[int] = []
        """Offsets of messages that failed a check."""
        self.markets = {name: Market(Decimal(0)) for name in listed}

    def load(self, redis: Any, now: int, end: int) -> int:
        """Reads what is stored; the offset that it begins at in a topic that ends before `end`."""
        for name, market in self.markets.items():
            for length in _STEPS:
                first = now // _STEPS[length] * _STEPS[length] - _KEPT_S.get(length, now)
                for time, text in redis.hgetall(f"k:{name}:{length}").items():
                    values = json.loads(text)
                    assert 5 <= len(values) <= 6, "a malformed candle would be skipped"
                    if int(time) >= first:
                        numbers = [Decimal(value) for value in values]
                        market.candles[length][int(time)] = [*numbers, Decimal(0)][:6]
            for text in redis.lrange(f"k:{name}:deals", 0, _DEALS_MAX - 1):
                deal = json.loads(text)
                assert list(deal) == ["id", "time", "price", "amount", "type"], "it does not start"
                assert isinstance(deal["time"], float), "it does not start"
                market.deals.append(deal)
            last = redis.get(f"k:{name}:last")
            market.last = Decimal(last.decode()) if last is not None else Decimal(0)
        self.offset = int(redis.get("k:offset") or 0)
        # Out of range means the end to its library.
        return min(self.offset + 1, end)

    def take(self, offset: int, payload: bytes) -> bool:
        """Counts a message in; false when it fails a check."""
        message = json.loads(payload)
        if not _is_deal(message):
            self.refused.append(offset)
            return False
        time, name, price, amount = message[0], message[1], Decimal(message[6]), Decimal(message[7])
        market = self.markets.setdefault(name, Market(price))
        self._count(market, int(time), price, amount)
        market.last = price
        deal = {
            "id": message[11],
            "time": time,
            "price": _text(price),
            "amount": _text(amount),
            "type": _SIDES[message[10]],
        }
        market.deals.appendleft(deal)
        market.unsaved.append(json.dumps(deal))
        self.offset = offset
        return True

    def flush(self, redis: Any) -> None:
        """Its timer's work: candles, last price and deals of each market, then the offset."""
        for name, market in self.markets.items():
            for length, time in sorted(market.changed):
                values = [_text(number) for number in market.candles[length][time]]
                redis.hset(f"k:{name}:{length}", str(time), json.dumps(values))
            market.changed.clear()
            redis.set(f"k:{name}:last", format(market.last).lower())
            if market.unsaved:
                redis.lpush(f"k:{name}:deals", *market.unsaved)
                redis.ltrim(f"k:{name}:deals", 0, _DEALS_MAX - 1)
                market.unsaved.clear()
        redis.set("k:offset", self.offset)

    @staticmethod
    def _count(market: Market, second: int, price: Decimal, amount: Decimal) -> None:
        for length, step in _STEPS.items():
            time = second // step * step
            before = market.last
            row = market.candles[length].setdefault(time, [before] * 4 + [Decimal(0)] * 2)
            row[1] = price
            row[2] = max(row[2], price)
            row[3] = min(row[3], price)
            row[4] = _DECIMAL128.add(row[4], amount)
            row[5] = _DECIMAL128.add(row[5], _DECIMAL128.multiply(price, amount))
            market.changed.add((length, time))


def _is_deal(message: Any) -> bool:
    return (
        isinstance(message, list)
        and len(message) >= 12
        and isinstance(message[0], float)
        and message[0] != 0
        and all(isinstance(message[place], str) for place in (1, 6, 7))
        and message[10] in _SIDES
        and isinstance(message[11], int)
        and message[11] != 0
    )


def _text(number: Decimal) -> str:
    """As its library writes numbers; without an exponent, zeros at the end are dropped."""
    text = format(number).lower()
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text
