"""Random commands of six users, and everything that can be asked about what became of them."""

import json
import random
import time
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from harness.http import Connection

USERS: Final = range(1, 7)
MARKETS: Final = ("BTCBCH", "ETHBCH", "LTCBCH")
ASSETS: Final = ("BTC", "ETH", "LTC", "BCH")

Answers = dict[str, Any]
"""By the question."""

_TIMES: Final = {"ctime", "mtime"}
"""Of an order: its redone log has them to the tenth of a millisecond, or at another microsecond."""

_DAY_S: Final = 86_400

_DIGITS: Final = Decimal("1e-11")
"""The original's slices keep 12 decimals of a fee."""


class Trader:
    """Trades through a door."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._update = 0
        self._last_order = 0

    def trade(self, door: Connection, count: int) -> int:
        """Deposits for each user, then `count` commands; how many were refused."""
        draw = self._draw
        for user in USERS:
            for asset in ASSETS:
                self._update += 1
                amount = str(draw.randint(50, 500))
                detail = {"n": self._update}
                door.result("balance.update", user, asset, "deposit", self._update, amount, detail)
        return sum(self._command(door) for _ in range(count))

    def _command(self, door: Connection) -> bool:
        draw = self._draw
        user, market, side = draw.choice(USERS), draw.choice(MARKETS), draw.randint(1, 2)
        amount = str(round(draw.uniform(0.1, 5), 4))
        match draw.choices(("update", "limit", "market", "cancel"), (10, 60, 15, 15))[0]:
            case "update":
                self._update += 1
                change = draw.choice(("", "-")) + str(round(draw.uniform(0.01, 20), 4))
                asset = draw.choice(ASSETS)
                answer = door.call(
                    "balance.update", user, asset, "deposit", self._update, change, {}
                )
            case "limit":
                price = str(round(draw.uniform(9, 11), 2))
                answer = door.call(
                    "order.put_limit", user, market, side, amount, price, "0.002", "0.001", "web"
                )
            case "market":
                answer = door.call("order.put_market", user, market, side, amount, "0.002", "api")
            case _:
                order = draw.randint(max(1, self._last_order - 60), self._last_order + 1)
                answer = door.call("order.cancel", user, market, order)
        if answer["error"] is None and "id" in answer["result"]:
            self._last_order = max(self._last_order, answer["result"]["id"])
        return answer["error"] is not None


def ask(door: Connection) -> Answers:
    """What a client can know; numbers by value, and without what the way back may lose."""
    found: Answers = {}
    begin = int(time.time()) // _DAY_S * _DAY_S

    def put(method: str, *params: Any) -> None:
        answer = door.call(method, *params)
        assert answer["error"] is None, (method, params, answer)
        found[f"{method} {json.dumps(params)}"] = _comparable(answer["result"])

    for method in ("asset.list", "asset.summary", "market.list", "market.summary"):
        put(method)
    for market in MARKETS:
        put("market.last", market)
        put("market.status", market, _DAY_S)
        put("market.status_today", market)
        put("market.deals", market, 100, 0)
        for interval in (3_600, _DAY_S, 7 * _DAY_S):
            put("market.kline", market, begin - 3 * _DAY_S, begin + _DAY_S, interval)
        put("order.depth", market, 50, "0")
        put("order.depth", market, 20, "0.1")
        for side in (1, 2):
            put("order.book", market, side, 0, 50)
        for user in USERS:
            put("order.pending", user, market, 0, 50)
            put("market.user_deals", user, market, 0, 50)
            for side in (0, 1, 2):
                put("order.finished", user, market, 0, 0, 0, 50, side)
    for user in USERS:
        put("balance.query", user)
        put("balance.history", user, "BTC", "", 0, 0, 0, 50)
        put("balance.history", user, "", "deposit", 0, 0, 0, 50)
    for order in range(1, 60, 3):
        put("order.deals", order, 0, 50)
        put("order.finished_detail", order)
        put("order.pending_detail", "BTCBCH", order)
    return found


def differing(one: Answers, other: Answers) -> dict[str, tuple[Any, Any]]:
    """Both answers of each question that was answered otherwise."""
    assert list(one) == list(other)
    return {name: (one[name], other[name]) for name in one if one[name] != other[name]}


def _comparable(value: Any) -> Any:
    if isinstance(value, dict):
        # Orders of a slice have no source.
        is_order = "left" in value
        dropped = {"source", *_TIMES} if is_order else set()
        return {name: _comparable(item) for name, item in value.items() if name not in dropped}
    if isinstance(value, list):
        return [_comparable(item) for item in value]
    if isinstance(value, str):
        try:
            return Decimal(value).quantize(_DIGITS)
        except InvalidOperation:
            return value
    return value
