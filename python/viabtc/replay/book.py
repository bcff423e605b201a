"""The client's own order book: what the exchange has to answer, computed apart from it.

Prices, amounts and money are whole numbers of the market's smallest units, so that nothing is
rounded. Orders trade by price, then by time, at the resting order's price.
"""

import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field

from viabtc.replay.events import Side


@dataclass(slots=True)
class Order:
    """An order that may rest."""

    ticket: int
    """Number of the placement; each placement has its own."""
    key: str
    """Identity in the file; empty for takers that are not in it."""
    user: int
    side: Side
    price: int
    left: int


@dataclass(frozen=True, slots=True)
class Deal:
    """A trade."""

    maker: Order
    price: int
    amount: int


@dataclass(slots=True)
class Book:
    """Both sides of one market."""

    _levels: dict[Side, dict[int, dict[int, Order]]] = field(
        default_factory=lambda: {Side.ASK: {}, Side.BID: {}}
    )
    """Orders by side, price and ticket; a level keeps the order of arrival."""
    _prices: dict[Side, list[int]] = field(default_factory=lambda: {Side.ASK: [], Side.BID: []})
    """Prices in use, ascending."""

    def best(self, side: Side) -> int | None:
        """The price that trades first."""
        prices = self._prices[side]
        if not prices:
            return None
        return prices[0] if side is Side.ASK else prices[-1]

    def place(self, order: Order) -> list[Deal]:
        """Trades a limit order and rests what is left of it."""
        deals = []
        opposite = order.side.opposite
        while order.left and (best := self.best(opposite)) is not None:
            is_acceptable = best <= order.price if order.side is Side.BID else best >= order.price
            if not is_acceptable:
                break
            deal = self._take(opposite, best, order.left)
            order.left -= deal.amount
            deals.append(deal)
        if order.left:
            self._rest(order)
        return deals

    def sell(self, amount: int) -> list[Deal]:
        """Trades a market ask of `amount`."""
        deals = []
        while amount and (best := self.best(Side.BID)) is not None:
            deal = self._take(Side.BID, best, amount)
            amount -= deal.amount
            deals.append(deal)
        return deals

    def buy(self, money: int) -> list[Deal]:
        """Trades a market bid for `money`, in units of price times amount."""
        deals = []
        while (best := self.best(Side.ASK)) is not None and (amount := money // best):
            deal = self._take(Side.ASK, best, amount)
            money -= deal.amount * deal.price
            deals.append(deal)
        return deals

    def cancel(self, order: Order) -> None:
        """Takes a resting order out."""
        level = self._levels[order.side][order.price]
        del level[order.ticket]
        if not level:
            del self._levels[order.side][order.price]
            prices = self._prices[order.side]
            del prices[bisect.bisect_left(prices, order.price)]

    def orders(self, side: Side) -> Iterator[Order]:
        """Resting orders, first to trade first."""
        prices = self._prices[side]
        for price in prices if side is Side.ASK else reversed(prices):
            yield from self._levels[side][price].values()

    def levels(self, side: Side) -> list[tuple[int, int]]:
        """Pairs of price and amount, first to trade first."""
        prices = self._prices[side]
        return [
            (price, sum(order.left for order in self._levels[side][price].values()))
            for price in (prices if side is Side.ASK else reversed(prices))
        ]

    def _rest(self, order: Order) -> None:
        level = self._levels[order.side].get(order.price)
        if level is None:
            level = self._levels[order.side][order.price] = {}
            bisect.insort(self._prices[order.side], order.price)
        level[order.ticket] = order

    def _take(self, side: Side, price: int, amount: int) -> Deal:
        maker = next(iter(self._levels[side][price].values()))
        amount = min(amount, maker.left)
        maker.left -= amount
        if not maker.left:
            self.cancel(maker)
        return Deal(maker, price, amount)
