"""Messages of the topics become pushes; what is none of them is skipped, and ends nothing."""

import asyncio
import json
from typing import TYPE_CHECKING, Any, cast

import structlog

from viabtc.accessws.boards import Boards
from viabtc.accessws.questions import Questions
from viabtc.accessws.users import UserPushes
from viabtc.edges.kafka import Message

if TYPE_CHECKING:
    from viabtc import _core
    from viabtc.edges.clock import ZoneTable

POISON = [
    None,
    b"",
    b"null",
    b"{}",
    b"[]",
    b"not JSON",
    b'["\xff"]',
    b"[" * 100_000,
    b'{"event": 1, "order": ' + b"[" * 100_000,
]


class Hub:
    """A hub in which everything is watched."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []
        self.asked: list[Any] = []

    def watched(self, topics: list[str]) -> list[bool]:
        return [True for _ in topics]

    def tell(self, messages: list[tuple[str, bytes]]) -> None:
        self.told += [(topic, json.loads(text)["params"]) for topic, text in messages]

    def ask(self, _tag: int, method: str, params: bytes) -> None:
        assert method == "balance.query"
        self.asked.append(json.loads(params))


def order(event: Any = 3, *, user: Any = 7, stock: Any = "BTC") -> bytes:
    shown = {"id": 1, "market": "BTCUSDT", "user": user, "left": "0e-8"}
    return json.dumps({"event": event, "order": shown, "stock": stock, "money": "USDT"}).encode()


def messages(*payloads: bytes | None) -> list[Message]:
    return [(offset, payload, None) for offset, payload in enumerate(payloads)]


def pushes() -> tuple[Hub, UserPushes, list[str]]:
    hub, noted = Hub(), list[str]()
    core = cast("_core.Hub", hub)
    log = structlog.get_logger()
    return hub, UserPushes(core, Questions(core, log), noted.append, log), noted


def test_an_order_is_told_as_it_is_and_then_its_stock_and_its_money_are_asked_for() -> None:
    hub, users, noted = pushes()
    users.take_orders(messages(order()))
    [(topic, [event, shown])] = hub.told
    assert (topic, event, shown["left"]) == ("order 7 BTCUSDT", 3, "0e-8")
    assert hub.asked == [[7, "BTC"], [7, "USDT"]]
    assert set(noted) == {"orders 7 BTCUSDT", "balances 7", "depth BTCUSDT", "deals BTCUSDT"}


def test_a_balance_is_asked_for_once_until_it_is_answered() -> None:
    hub, users, _ = pushes()
    told = json.dumps([1.5, 7, "BTC", "deposit", "0e-8"]).encode()
    users.take_balances(messages(told, told))
    users.take_balances(messages(told))
    assert hub.asked == [[7, "BTC"]]


def test_messages_that_are_none_are_skipped_and_the_others_told() -> None:
    hub, users, _ = pushes()
    wrong = [*POISON, order(0), order("1"), order(None), order(user="7"), order(stock=5)]
    users.take_orders(messages(*wrong, order()))
    assert len(hub.told) == 1
    assert users.figures["malformed_total"] == len(wrong)
    hub, users, _ = pushes()
    wrong = [*POISON, b"[1, 7]", b'[1, "7", "BTC"]', b"[1, 7, 5]", b"{}"]
    users.take_balances(messages(*wrong, b'[1, 7, "BTC"]'))
    assert hub.asked == [[7, "BTC"]]
    assert users.figures["malformed_total"] == len(wrong)


def test_deals_that_are_none_are_counted_and_change_nothing() -> None:
    async def run() -> None:
        _, _, noted = pushes()
        questions, zone = cast("Questions", None), cast("ZoneTable", None)
        boards = Boards(questions, zone, noted.append, structlog.get_logger())
        boards.take(messages(*POISON))
        assert boards.figures["refused_total"] == len(POISON)
        assert noted == []

    asyncio.run(run())
