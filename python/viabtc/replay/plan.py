"""Turns events into requests, with the answer that each must get and the funds that the users need.

* `add` is a limit order; `delete` a cancel of what is left of it.
* A `change` downwards at the best price of its side means that somebody traded: a market order of
  another user for the difference. Orders that stood before the changed one and were hit in its
  place are put back as they were.
* Any other `change` is a cancel and a new order.

An `add` that crosses the book trades, as it would anywhere; later events about an order that is
traded away place what the file says is left of it.
"""

import zlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from viabtc.replay.book import Book, Deal, Order
from viabtc.replay.events import Event, FileProblem, Kind, Side, at

MAKERS: Final = tuple(range(9001, 9009))
"""Users who own the file's orders."""
TAKER: Final = 9009
"""The user who trades with them."""
USERS: Final = (*MAKERS, TAKER)

TAKER_FEE: Final = Decimal("0.002")
MAKER_FEE: Final = Decimal("0.001")

_TURNOVER_MAX: Final = 10**14
"""The exchange takes orders whose price times amount is below this."""


@dataclass(frozen=True, slots=True)
class Market:
    """What the exchange says about a market."""

    name: str
    stock: str
    money: str
    stock_prec: int
    money_prec: int
    fee_prec: int
    min_amount: Decimal

    def fee(self, rate: Decimal) -> str:
        """The rate as far as the market keeps it, as text."""
        return plain(self.rate(rate), self.fee_prec)

    def rate(self, rate: Decimal) -> int:
        """The rate in units of 10^-fee_prec, cut."""
        return int(rate * 10**self.fee_prec)


def plain(units: int, prec: int) -> str:
    """A number of 10^-prec as text."""
    if not prec:
        return str(units)
    whole, rest = divmod(abs(units), 10**prec)
    return f"{'-' if units < 0 else ''}{whole}.{rest:0{prec}d}"


def units(number: Decimal, prec: int) -> int | None:
    """A number above 0 in units of 10^-prec; None when it has more decimals."""
    _, digits, exponent = number.as_tuple()
    value = int("".join(map(str, digits)))
    # `exponent` is a letter for what is not finite: such numbers are never read.
    shift = int(exponent) + prec
    if shift >= 0:
        return value * int(10**shift)
    whole, rest = divmod(value, int(10**-shift))
    return None if rest else whole


@dataclass(frozen=True, slots=True)
class PlaceLimit:
    """A limit order, and what has to rest of it and trade at once."""

    line: int
    user: int
    side: Side
    price: int
    amount: int
    ticket: int
    left: int


@dataclass(frozen=True, slots=True)
class PlaceMarket:
    """A market order; `amount` is money for bids, in units of the stock's precision."""

    line: int
    user: int
    side: Side
    amount: int
    traded: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """A cancel of the placement `ticket`, of which `left` must be left."""

    line: int
    user: int
    ticket: int
    left: int


Step = PlaceLimit | PlaceMarket | Cancel


@dataclass(slots=True)
class Plan:
    """Everything that is going to happen."""

    market: Market
    steps: list[Step] = field(default_factory=list)
    book: Book = field(default_factory=Book)
    """What has to rest in the end."""
    needs: dict[tuple[int, str], int] = field(default_factory=dict)
    """Whole units that each user needs of each asset, to begin with."""
    deals: int = 0
    volume: int = 0
    """Traded stock, in units of its precision."""
    turnover: int = 0
    """Traded money, in units of price times amount."""
    stock_fees: int = 0
    """In units of amount times rate."""
    money_fees: int = 0
    """In units of price times amount times rate."""
    money_fee_count: int = 0


def make_plan(events: Iterable[Event], market: Market) -> Plan:
    """Plays the events through the client's own book.

    Raises:
        FileProblem: the market cannot take a number of the file.
    """
    planner = _Planner(market)
    for event in events:
        planner.follow(event)
    planner.close()
    return planner.plan


class _Planner:
    def __init__(self, market: Market) -> None:
        self.plan = Plan(market)
        self._market = market
        self._book = self.plan.book
        self._open: dict[str, Order] = {}
        self._tickets = 0
        self._min_amount = units(market.min_amount, market.stock_prec) or 1
        self._scale = 10**market.fee_prec
        self._taker_rate = market.rate(TAKER_FEE)
        self._maker_rate = market.rate(MAKER_FEE)
        # Available funds relative to the start, and the most that was missing, by user and side of
        # spending: an ask spends stock in units of amount * rate, a bid money in units of
        # price * amount * rate.
        self._funds: defaultdict[tuple[int, Side], int] = defaultdict(int)
        self._missing: defaultdict[tuple[int, Side], int] = defaultdict(int)

    def follow(self, event: Event) -> None:
        """Takes the next line."""
        order = self._open.get(event.order_id)
        if event.kind is Kind.DELETE:
            if order is not None:
                self._cancel(event.line, order)
            return
        price, amount = self._numbers(event)
        if order is None:
            self._place(event.line, event.order_id, event.side, price, amount)
        elif order.price == price and order.left == amount:
            return
        elif (
            order.price == price == self._book.best(order.side)
            and order.left - amount >= self._min_amount
        ):
            self._trade(event.line, order, amount)
        else:
            self._replace(event.line, order, price, amount)

    def close(self) -> None:
        """Turns what was missing into whole units to fund.

        One more than needed: the exchange rounds fees up to what it can store.
        """
        market = self._market
        decimals = market.stock_prec + market.fee_prec
        for user in USERS:
            for side, asset, unit in (
                (Side.ASK, market.stock, 10**decimals),
                (Side.BID, market.money, 10 ** (decimals + market.money_prec)),
            ):
                self.plan.needs[user, asset] = self._missing[user, side] // unit + 2

    def _numbers(self, event: Event) -> tuple[int, int]:
        market = self._market
        price = self._units(event.line, "price", event.price, market.money_prec)
        amount = self._units(event.line, "amount", event.amount, market.stock_prec)
        if amount < self._min_amount:
            raise FileProblem(
                at(event.line, "amount"),
                f"{event.amount} is below the least of {market.name}, {market.min_amount:f}",
                "choose a market that takes it with --market",
            )
        if price * amount >= _TURNOVER_MAX * 10 ** (market.money_prec + market.stock_prec):
            raise FileProblem(
                at(event.line, "amount"),
                f"price times amount, {event.price} * {event.amount}, is 10^14 or more",
                "split the order",
            )
        return price, amount

    def _units(self, line: int, column: str, number: Decimal, prec: int) -> int:
        value = units(number, prec)
        if value is None:
            raise FileProblem(
                at(line, column),
                f"{number} has more than the {prec} decimals that {self._market.name} takes",
                "choose a market that takes them with --market",
            )
        return value

    def _place(self, line: int, key: str, side: Side, price: int, amount: int) -> None:
        user = MAKERS[zlib.crc32(key.encode()) % len(MAKERS)]
        self._tickets += 1
        order = Order(self._tickets, key, user, side, price, amount)
        self._require(user, side, amount * price if side is Side.BID else amount)
        for deal in self._book.place(order):
            self._settle(deal, user)
        self.plan.steps.append(
            PlaceLimit(line, user, side, price, amount, order.ticket, order.left)
        )
        if order.left:
            self._open[key] = order
            self._spend(order, order.left)

    def _cancel(self, line: int, order: Order) -> None:
        self._book.cancel(order)
        del self._open[order.key]
        self._spend(order, -order.left)
        self.plan.steps.append(Cancel(line, order.user, order.ticket, order.left))

    def _replace(self, line: int, order: Order, price: int, amount: int) -> None:
        self._cancel(line, order)
        self._place(line, order.key, order.side, price, amount)

    def _trade(self, line: int, order: Order, amount: int) -> None:
        """Somebody trades `order` down to `amount`."""
        difference = order.left - amount
        if order.side is Side.BID:
            self._require(TAKER, Side.ASK, difference)
            deals = self._book.sell(difference)
            step = PlaceMarket(line, TAKER, Side.ASK, difference, difference)
        else:
            # A market bid names money with the stock's precision: rounded up, it buys the
            # difference, and what remains is too little for more.
            unit = 10**self._market.money_prec
            money = -(-difference * order.price // unit)
            self._require(TAKER, Side.BID, money * unit)
            deals = self._book.buy(money * unit)
            traded = sum(deal.amount for deal in deals)
            step = PlaceMarket(line, TAKER, Side.BID, money, traded)
        self.plan.steps.append(step)
        for deal in deals:
            self._settle(deal, TAKER)
        for deal in deals:
            if deal.maker is not order:
                self._put_back(line, deal)
        if order.left != amount:
            self._replace(line, order, order.price, amount)

    def _put_back(self, line: int, deal: Deal) -> None:
        maker = deal.maker
        amount = maker.left + deal.amount
        if amount < self._min_amount:
            return
        if maker.left:
            self._replace(line, maker, maker.price, amount)
        else:
            self._place(line, maker.key, maker.side, maker.price, amount)

    def _settle(self, deal: Deal, taker: int) -> None:
        """Moves the funds of a deal: the maker's side was spent when it came to rest."""
        maker, scale = deal.maker, self._scale
        money = deal.price * deal.amount
        if maker.side is Side.BID:
            buyer, seller, buyer_rate, seller_rate = (
                maker.user,
                taker,
                self._maker_rate,
                self._taker_rate,
            )
            self._funds[taker, Side.ASK] -= deal.amount * scale
        else:
            buyer, seller, buyer_rate, seller_rate = (
                taker,
                maker.user,
                self._taker_rate,
                self._maker_rate,
            )
            self._funds[taker, Side.BID] -= money * scale
        stock_fee, money_fee = deal.amount * buyer_rate, money * seller_rate
        self._funds[buyer, Side.ASK] += deal.amount * scale - stock_fee
        self._funds[seller, Side.BID] += money * scale - money_fee
        if not maker.left:
            del self._open[maker.key]
        plan = self.plan
        plan.deals += 1
        plan.volume += deal.amount
        plan.turnover += money
        plan.stock_fees += stock_fee
        plan.money_fees += money_fee
        plan.money_fee_count += money_fee > 0

    def _require(self, user: int, side: Side, needed: int) -> None:
        missing = needed * self._scale - self._funds[user, side]
        self._missing[user, side] = max(self._missing[user, side], missing)

    def _spend(self, order: Order, amount: int) -> None:
        """Freezes `amount` of a resting order's funds; a negative amount frees them."""
        worth = amount * order.price if order.side is Side.BID else amount
        self._funds[order.user, order.side] -= worth * self._scale
