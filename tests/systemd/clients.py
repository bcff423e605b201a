"""What clients do while services end: deposits without a pause, and a question for each service."""

import json
import socket
import threading
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from redis import Redis

from harness.http import Connection
from harness.websocket import Client
from viabtc.protocol.alert import write_alert

HTTP: Final = ("127.0.0.1", 8080)
WEBSOCKET: Final = ("127.0.0.1", 8090)
REST: Final = "http://127.0.0.1:8000"
ALERTS: Final = ("127.0.0.1", 4444)

USER: Final = 7
OTHER: Final = 8

REPEATED: Final = 10
"""Code of an update that took effect before."""

_PAUSE_S: Final = 0.01
"""Between two deposits: the services under test shall have the processors."""


def call(method: str, *params: Any) -> Any:
    """The result of a call through the front door.

    Raises:
        OSError: it was not answered, or with an error.
    """
    with Connection(HTTP) as connection:
        return connected_call(connection, method, *params)


def connected_call(connection: Connection, method: str, *params: Any) -> Any:
    body = json.dumps({"method": method, "params": params, "id": 1}).encode()
    document = connection.post(body).document
    if document["error"] is not None:
        raise OSError(document["error"]["message"])
    return document["result"]


def balance(user: int) -> int:
    """What a user of deposits has."""
    return int(call("balance.query", user, "USDT")["USDT"]["available"])


@dataclass
class Counts:
    """How requests of a client ended."""

    acknowledged: int = 0
    unknown: int = 0
    """Answered by a timeout: it may have taken effect."""
    unanswered: int = 0


@dataclass
class Deposits:
    """Deposits one after the other, each sent again until it is acknowledged."""

    user: int
    first: int = 1
    pause_s: float = _PAUSE_S
    repeats: bool = True
    """False stops at the first that is not answered."""
    counts: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> "Deposits":
        self._thread.start()
        return self

    def stop(self) -> Counts:
        """Ends after the deposit that is under way."""
        self._stop.set()
        return self.join()

    def join(self) -> Counts:
        self._thread.join()
        return self.counts

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with Connection(HTTP) as connection:
                    self._deposit(connection)
            except (OSError, EOFError, AssertionError):
                # Whether the last one took effect is asked by sending it again.
                self.counts.unanswered += 1
                if not self.repeats:
                    return
            self._stop.wait(_PAUSE_S)

    def _deposit(self, connection: Connection) -> None:
        while not self._stop.is_set():
            number = self.first + self.counts.acknowledged + self.counts.unknown
            params = [self.user, "USDT", "deposit", number, "1", {}]
            body = {"method": "balance.update", "params": params, "id": number}
            error = connection.post(json.dumps(body).encode()).document["error"]
            if error is None or error["code"] == REPEATED:
                self.counts.acknowledged += 1
            elif not self.repeats:
                self.counts.unknown += 1
            self._stop.wait(self.pause_s)


class Questions:
    """Asks each service for what only it does; False, or an OSError, until it does."""

    def __init__(self, deposits: Deposits) -> None:
        self._deposits = deposits
        self._number = 1_000

    def of(self, service: str) -> Callable[[], bool]:
        """The question for a service, asked again until the answer is True."""
        match service:
            case "matchengine" | "accesshttp":
                before = self._deposits.counts.acknowledged
                return lambda: self._deposits.counts.acknowledged > before + 1
            case "marketprice":
                price = self._trade()
                return lambda: Decimal(call("market.last", "BTCUSDT")) == Decimal(price)
            case "readhistory":
                return lambda: self._is_in_history(self._deposits.counts.acknowledged)
            case "accessws":
                return _is_told
            case "rest":
                return _has_markets
            case _:
                return self._is_alert_kept

    def _trade(self) -> str:
        """Makes a deal at a price of its own."""
        self._number += 1
        price = str(self._number)
        for user, side in ((1, 1), (2, 2)):
            call("order.put_limit", user, "BTCUSDT", side, "0.01", price, "0", "0", "test")
        return price

    def _is_in_history(self, deposits: int) -> bool:
        # The newest first: a projection is behind by less than a second.
        found = call("balance.history", USER, "USDT", "deposit", 0, 0, 0, 1)["records"]
        return bool(found) and int(found[0]["detail"]["id"]) >= deposits - 200

    def _is_alert_kept(self) -> bool:
        self._number += 1
        text = f"alert {self._number}"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(write_alert("test", text), ALERTS)
        with Redis(decode_responses=True) as redis:
            return any(text in item for item in redis.lrange("alert:message", -50, -1))


def _is_told() -> bool:
    """Whether a new client can sign in and hears of the deposits."""
    with Client(WEBSOCKET) as client:
        if client.call("server.auth", f"user-{USER}", "web")["error"] is not None:
            return False
        if client.result("asset.subscribe", "USDT") != {"status": "success"}:
            return False
        return bool(client.receive()["method"] == "asset.update")


def _has_markets() -> bool:
    with urllib.request.urlopen(f"{REST}/api/v1/markets/BTCUSDT/depth", timeout=5) as answer:
        return bool(json.load(answer)["asks"] is not None)
