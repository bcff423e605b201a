"""An exchange of one market in plain decimals, written from the description of the commands alone.

It is slow and obvious. Tests let it follow the journal of the real one, and compare every reply and
the whole state.
"""

import bisect
import json
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Context, Decimal
from typing import Any, Final

ASK: Final = 1
BID: Final = 2

UPDATE_BALANCE: Final = 102
PUT_LIMIT: Final = 201
PUT_MARKET: Final = 202
CANCEL: Final = 204

_ARITHMETIC: Final = Context(prec=34, rounding=ROUND_DOWN)
_WIDE: Final = Context(prec=100, rounding=ROUND_DOWN)

ZERO: Final = Decimal(0)


class RejectedError(Exception):
    """The answer is no: code and message."""


@dataclass
class Order:
    """An order, as replies show it."""

    id: int
    source: str
    type: int
    side: int
    user: int
    price: Decimal
    amount: Decimal
    taker_fee: Decimal
    maker_fee: Decimal
    left: Decimal
    deal_stock: Decimal = ZERO
    deal_money: Decimal = ZERO
    deal_fee: Decimal = ZERO

    @property
    def place(self) -> tuple[Decimal, int]:
        """Sorts the orders of a side, first to trade first."""
        return (self.price if self.side == ASK else -self.price, self.id)

    def shown(self) -> dict[str, Any]:
        """Its members, numbers by value, times left out."""
        return {
            name: getattr(self, name)
            for name in (
                *("id", "source", "type", "side", "user", "price", "amount", "taker_fee"),
                *("maker_fee", "left", "deal_stock", "deal_money", "deal_fee"),
            )
        }


@dataclass
class Model:
    """Balances, one market, and the updates already made."""

    market: str
    stock: str
    money: str
    stock_prec: int
    money_prec: int
    fee_prec: int
    min_amount: Decimal
    scales: dict[str, int]
    """Decimals that each asset keeps."""
    available: defaultdict[tuple[int, str], Decimal] = field(
        default_factory=lambda: defaultdict(Decimal)
    )
    frozen: defaultdict[tuple[int, str], Decimal] = field(
        default_factory=lambda: defaultdict(Decimal)
    )
    sides: dict[int, list[Order]] = field(default_factory=lambda: {ASK: [], BID: []})
    """Resting orders, first to trade first."""
    resting: dict[int, Order] = field(default_factory=dict)
    updates: set[tuple[int, str, str, int]] = field(default_factory=set)
    last_order_id: int = 0
    last_deal_id: int = 0

    def apply(self, command: int, params: list[Any]) -> Any:
        """The result of a command.

        Raises:
            RejectedError: nothing has changed.
        """
        if command == UPDATE_BALANCE:
            return self._update(*params)
        if command == PUT_LIMIT:
            return self._put_limit(*params).shown()
        if command == PUT_MARKET:
            return self._put_market(*params).shown()
        assert command == CANCEL, f"command {command} is not modelled"
        return self._cancel(*params).shown()

    def _update(
        self, user: int, asset: str, reason: str, reason_id: int, change: str, _detail: Any
    ) -> dict[str, str]:
        key = (user, asset, reason, reason_id)
        if key in self.updates:
            raise RejectedError(10, "repeat update")
        amount = self._cut(Decimal(change), self.scales[asset])
        if self.available[user, asset] + amount < 0:
            raise RejectedError(11, "balance not enough")
        self._pay(user, asset, amount)
        self.updates.add(key)
        return {"status": "success"}

    def _put_limit(
        self,
        user: int,
        _market: str,
        side: int,
        amount_text: str,
        price_text: str,
        taker_fee: str,
        maker_fee: str,
        source: str,
    ) -> Order:
        amount = self._cut(Decimal(amount_text), self.stock_prec)
        price = self._cut(Decimal(price_text), self.money_prec)
        needed = amount if side == ASK else _ARITHMETIC.multiply(amount, price)
        if self.available[user, self._spent(side)] < needed:
            raise RejectedError(10, "balance not enough")
        if amount < self.min_amount:
            raise RejectedError(11, "amount too small")
        fees = (self._fee(taker_fee), self._fee(maker_fee))
        order = self._open(source, 1, side, user, price, amount, *fees)
        opposite = self.sides[BID if side == ASK else ASK]
        while order.left and opposite:
            maker = opposite[0]
            is_acceptable = maker.price >= price if side == ASK else maker.price <= price
            if not is_acceptable:
                break
            self._deal(order, maker, min(order.left, maker.left))
        if order.left:
            self._freeze(order, self._worth(order))
            bisect.insort(self.sides[side], order, key=lambda resting: resting.place)
            self.resting[order.id] = order
        return order

    def _put_market(
        self, user: int, _market: str, side: int, amount_text: str, taker_fee: str, source: str
    ) -> Order:
        amount = self._cut(Decimal(amount_text), self.stock_prec)
        opposite = self.sides[BID if side == ASK else ASK]
        if self.available[user, self._spent(side)] < amount:
            raise RejectedError(10, "balance not enough")
        if not opposite:
            raise RejectedError(12, "no enough trader")
        least = self.min_amount
        if side == BID:
            least = _ARITHMETIC.multiply(opposite[0].price, self.min_amount)
        if amount < least:
            raise RejectedError(11, "amount too small")
        order = self._open(source, 2, side, user, ZERO, amount, self._fee(taker_fee), ZERO)
        while order.left and opposite:
            maker = opposite[0]
            traded = order.left
            if side == BID:
                quotient = _ARITHMETIC.divide(order.left, maker.price)
                traded = self._cut(quotient, self.stock_prec)
            if not traded:
                break
            self._deal(order, maker, min(traded, maker.left))
        return order

    def _cancel(self, user: int, _market: str, order_id: int) -> Order:
        order = self.resting.get(order_id)
        if order is None:
            raise RejectedError(10, "order not found")
        if order.user != user:
            raise RejectedError(11, "user not match")
        self._remove(order)
        self._freeze(order, -self._worth(order))
        return order

    def _open(
        self,
        source: str,
        kind: int,
        side: int,
        user: int,
        price: Decimal,
        amount: Decimal,
        taker_fee: Decimal,
        maker_fee: Decimal,
    ) -> Order:
        self.last_order_id += 1
        return Order(
            self.last_order_id,
            source,
            kind,
            side,
            user,
            price,
            amount,
            taker_fee,
            maker_fee,
            amount,
        )

    def _deal(self, taker: Order, maker: Order, amount: Decimal) -> None:
        self.last_deal_id += 1
        money = _ARITHMETIC.multiply(maker.price, amount)
        for order, rate in ((taker, taker.taker_fee), (maker, maker.maker_fee)):
            is_ask = order.side == ASK
            spent, received = (amount, money) if is_ask else (money, amount)
            fee = _ARITHMETIC.multiply(received, rate)
            is_money_left = order.type == 2 and not is_ask
            order.left = _WIDE.subtract(order.left, money if is_money_left else amount)
            order.deal_stock = _WIDE.add(order.deal_stock, amount)
            order.deal_money = _WIDE.add(order.deal_money, money)
            order.deal_fee = _WIDE.add(order.deal_fee, fee)
            if order is maker:
                key = (order.user, self._spent(order.side))
                self.frozen[key] = _WIDE.subtract(self.frozen[key], spent)
            else:
                self._pay(order.user, self._spent(order.side), -spent)
            self._pay(order.user, self._received(order.side), received)
            self._pay(order.user, self._received(order.side), -fee)
        if not maker.left:
            self._remove(maker)

    def _remove(self, order: Order) -> None:
        side = self.sides[order.side]
        del side[bisect.bisect_left(side, order.place, key=lambda resting: resting.place)]
        del self.resting[order.id]

    def _freeze(self, order: Order, worth: Decimal) -> None:
        key = (order.user, self._spent(order.side))
        self.available[key] = _WIDE.subtract(self.available[key], worth)
        self.frozen[key] = _WIDE.add(self.frozen[key], worth)

    def _pay(self, user: int, asset: str, change: Decimal) -> None:
        """Changes what is available; a balance finer than its asset keeps is cut."""
        total = _WIDE.add(self.available[user, asset], change)
        self.available[user, asset] = self._cut(total, self.scales[asset])

    def _worth(self, order: Order) -> Decimal:
        return order.left if order.side == ASK else _ARITHMETIC.multiply(order.left, order.price)

    def _spent(self, side: int) -> str:
        return self.stock if side == ASK else self.money

    def _received(self, side: int) -> str:
        return self.money if side == ASK else self.stock

    def _fee(self, text: str) -> Decimal:
        return self._cut(Decimal(text), self.fee_prec)

    def _cut(self, number: Decimal, scale: int) -> Decimal:
        return number.quantize(Decimal(1).scaleb(-scale), context=_WIDE)


def order_by_value(order: dict[str, Any]) -> dict[str, Any]:
    """An order of a reply as `Order.shown` gives it."""
    numbers = {
        *("price", "amount", "taker_fee", "maker_fee"),
        *("left", "deal_stock", "deal_money", "deal_fee"),
    }
    return {
        name: Decimal(value) if name in numbers else value
        for name, value in order.items()
        if name not in {"market", "ctime", "mtime"}
    }


def reply_by_value(text: str | bytes) -> Any:
    """What a reply says: a result as `Model.apply` gives it, or an error as (code, message)."""
    document = json.loads(text)
    if document["error"] is not None:
        return document["error"]["code"], document["error"]["message"]
    result = document["result"]
    return order_by_value(result) if "id" in result else result
