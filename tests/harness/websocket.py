"""A websocket client that keeps answers and pushes apart, and what pushes add up to."""

import json
import re
import time
from collections.abc import Callable
from decimal import Decimal
from types import TracebackType
from typing import Any, Final, Self

from websockets.sync.client import connect

from harness.processes import Place

TIMEOUT_S: Final = 10.0

_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?")
_TIMES: Final = {"ctime", "mtime", "ftime", "time"}


class Client:
    """One connection, with the keepalive of its library as it comes."""

    def __init__(self, place: Place, path: str = "/") -> None:
        self._opening = connect(f"ws://{place[0]}:{place[1]}{path}", compression=None)
        self.pushes: list[dict[str, Any]] = []
        self._last_id = 1_000_000

    def __enter__(self) -> Self:
        self._socket = self._opening.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opening.__exit__(kind, error, trace)

    def send(self, document: Any) -> None:
        self._socket.send(json.dumps(document))

    def receive(self, timeout_s: float | None = TIMEOUT_S) -> dict[str, Any]:
        """The next message, answer or push; without a time-out however long it takes."""
        document: dict[str, Any] = json.loads(self._socket.recv(timeout_s))
        return document

    def answer(self, request_id: int) -> dict[str, Any]:
        """The answer of that id; pushes before it are kept."""
        while True:
            document = self.receive()
            if document["id"] == request_id:
                return document
            assert document["id"] is None, document
            self.pushes.append(document)

    def call(self, method: str, *params: Any) -> dict[str, Any]:
        """Asks and waits for the answer."""
        self._last_id += 1
        self.send({"id": self._last_id, "method": method, "params": list(params)})
        return self.answer(self._last_id)

    def result(self, method: str, *params: Any) -> Any:
        """Asks; the result, which there must be."""
        answer = self.call(method, *params)
        assert answer["error"] is None, answer
        return answer["result"]

    def until(self, is_so: Callable[[], bool], deadline_s: float = TIMEOUT_S) -> None:
        """Keeps pushes until they make something true."""
        deadline = time.monotonic() + deadline_s
        while not is_so():
            left = deadline - time.monotonic()
            assert left > 0, f"did not come true; pushes: {self.pushes}"
            try:
                document = self.receive(left)
            except TimeoutError:
                continue
            assert document["id"] is None, document
            self.pushes.append(document)


def canonical(value: Any) -> Any:
    """A value in which equal numbers are equal texts, and times are not compared."""
    if isinstance(value, dict):
        return {key: canonical(member) for key, member in value.items() if key not in _TIMES}
    if isinstance(value, list):
        return [canonical(member) for member in value]
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return format(Decimal(value).normalize(), "f")
    return value


class View:
    """What a client that subscribed knows after its pushes."""

    def __init__(self, depth_limit: int) -> None:
        self.depth_limit = depth_limit
        self.books: dict[str, dict[str, dict[str, str]]] = {}
        self.prices: dict[str, str] = {}
        self.figures: dict[tuple[str, str], Any] = {}
        self.candles: dict[int, list[Any]] = {}
        self.deals: dict[int, Any] = {}
        self.orders: list[Any] = []
        self.assets: dict[str, Any] = {}

    def apply(self, push: dict[str, Any]) -> None:
        """Counts a push in."""
        method, params = push["method"], canonical(push["params"])
        match method:
            case "depth.update":
                self._apply_depth(*params)
            case "price.update":
                self.prices[params[0]] = params[1]
            case "state.update" | "today.update":
                self.figures[method, params[0]] = params[1]
            case "kline.update":
                for candle in params:
                    self.candles[candle[0]] = candle
            case "deals.update":
                for deal in params[1]:
                    assert deal["id"] not in self.deals, "a deal was told twice"
                    self.deals[deal["id"]] = deal
            case "order.update":
                self.orders.append(params)
            case "asset.update":
                self.assets.update(params[0])
            case _:
                raise AssertionError(push)

    def _apply_depth(self, is_clean: bool, sides: dict[str, Any], market: str) -> None:  # noqa: FBT001 - as the push has it
        book = self.books.setdefault(market, {"asks": {}, "bids": {}})
        if is_clean:
            book["asks"], book["bids"] = {}, {}
        for side, levels in sides.items():
            for price, amount in levels:
                if amount == "0":
                    book[side].pop(price, None)
                else:
                    book[side][price] = amount
            # The client keeps the window: the original does not tell what left it.
            best = sorted(book[side], key=Decimal, reverse=side == "bids")
            book[side] = {price: book[side][price] for price in best[: self.depth_limit]}

    def shown(self) -> dict[str, Any]:
        """Everything that may be compared with another client's view."""
        volume = sum((Decimal(candle[5]) for candle in self.candles.values()), Decimal(0))
        turnover = sum((Decimal(candle[6]) for candle in self.candles.values()), Decimal(0))
        last = self.candles[max(self.candles)] if self.candles else []
        return {
            "books": self.books,
            "prices": self.prices,
            "figures": self.figures,
            # The minute may change between two deals, here or where it was recorded.
            "candles": (volume, turnover, last[2:3], last[7:]),
            "deals": self.deals,
            "orders": self.orders,
            "assets": self.assets,
        }
