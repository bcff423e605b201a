"""What users are told between processes: from the topics `orders` and `balances` to the hub.

Source: aw_message.c. An order is told as the message has it; a balance is asked for, once for all
messages that touch it meanwhile, so that what is shown is never older than the message.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, Final

import msgspec

from viabtc import _core
from viabtc.accessws.follow import UNREADABLE
from viabtc.accessws.pushes import encode, notification
from viabtc.accessws.questions import Questions, Reply
from viabtc.edges.kafka import Message

_RETRY_S: Final = 1.0
"""Pause before an unanswered question is asked again."""

_INVALID_ARGUMENT: Final = 1

RESTART: Final = 1012
"""Close code that tells a client to connect again: what it would miss cannot be told."""


class _Owner(msgspec.Struct):
    user: int
    market: str


class OrderMessage(msgspec.Struct):
    """A message of the topic `orders`; other members are not looked at."""

    event: Annotated[int, msgspec.Meta(ge=1)]
    order: msgspec.Raw
    stock: str
    money: str


class UserPushes:
    """Tells orders and balances.

    Args:
        noted: Gets words of what changed: `orders USER MARKET`, `balances USER`, `depth MARKET`,
            `deals MARKET`.
    """

    def __init__(
        self, hub: _core.Hub, questions: Questions, noted: Callable[[str], None], log: Any
    ) -> None:
        self._noted = noted
        self.figures = {"malformed_total": 0, "missing_total": 0}
        self._hub = hub
        self._questions = questions
        self._log = log
        self._asked: dict[tuple[int, str], bool] = {}
        """Balances that are being asked for, and whether they changed since."""

    def take_orders(self, messages: Sequence[Message]) -> None:
        """Counts messages of the topic `orders` in, oldest first."""
        told: list[tuple[str, bytes]] = []
        touched: dict[tuple[int, str], None] = {}
        changed: dict[tuple[int, str], None] = {}
        for offset, payload, _ in messages:
            try:
                message = msgspec.json.decode(payload or b"", type=OrderMessage)
                owner = msgspec.json.decode(message.order, type=_Owner)
            except UNREADABLE as error:
                self._skip("orders", offset, error)
                continue
            params = (encode(message.event), bytes(message.order))
            told.append(
                (f"order {owner.user} {owner.market}", notification("order.update", *params))
            )
            changed[owner.user, owner.market] = None
            touched[owner.user, message.stock] = None
            touched[owner.user, message.money] = None
        watched = self._hub.watched([topic for topic, _ in told])
        self._hub.tell([one for one, is_watched in zip(told, watched, strict=True) if is_watched])
        self._touch(list(touched))
        for user, market in changed:
            self._noted(f"orders {user} {market}")
            self._noted(f"balances {user}")
        for market in {market for _, market in changed}:
            self._noted(f"depth {market}")
            self._noted(f"deals {market}")

    def take_balances(self, messages: Sequence[Message]) -> None:
        """Counts messages of the topic `balances` in: `[time, user, asset, ...]`."""
        touched: dict[tuple[int, str], None] = {}
        for offset, payload, _ in messages:
            try:
                message = msgspec.json.decode(payload or b"", type=list[Any])
                user, asset = msgspec.convert(message[1:3], type=tuple[int, str])
            except UNREADABLE as error:
                self._skip("balances", offset, error)
                continue
            touched[user, asset] = None
        self._touch(list(touched))
        for user in {user for user, _ in touched}:
            self._noted(f"balances {user}")

    def lost(self, topic: str, count: int) -> None:
        """Messages never came: whoever is told of orders and balances must start again."""
        self.figures["missing_total"] += count
        self._log.error("messages never came; their subscribers are closed", topic=topic)
        self._hub.close_private(RESTART)

    def _skip(self, topic: str, offset: int, error: Exception) -> None:
        self.figures["malformed_total"] += 1
        self._log.error("a message is not told", topic=topic, offset=offset, reason=str(error))

    def _touch(self, balances: list[tuple[int, str]]) -> None:
        topics = [f"asset {user} {asset}" for user, asset in balances]
        for balance, is_watched in zip(balances, self._hub.watched(topics), strict=True):
            if balance in self._asked:
                self._asked[balance] = True
            elif is_watched:
                self._ask(balance)

    def _ask(self, balance: tuple[int, str]) -> None:
        self._asked[balance] = False
        then = partial(self._answered, balance)
        self._questions.ask("balance.query", encode(list(balance)), then)

    def _answered(self, balance: tuple[int, str], reply: Reply | None) -> None:
        user, asset = balance
        topic = f"asset {user} {asset}"
        if reply is None or (reply.error is not None and reply.error["code"] != _INVALID_ARGUMENT):
            # The engine is away; what it says when it is back is newer than every message.
            if self._hub.watched([topic])[0]:
                asyncio.get_running_loop().call_later(_RETRY_S, self._ask, balance)
            else:
                del self._asked[balance]
            return
        if reply.error is None:
            self._hub.tell([(topic, notification("asset.update", bytes(reply.result)))])
        if self._asked.pop(balance):
            self._ask(balance)
