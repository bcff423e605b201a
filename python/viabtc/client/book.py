"""A book put together from a snapshot and steps."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from viabtc.contract.channels import book_checksum

Levels = list[tuple[str, str]]
"""Price and amount, best first."""


class Book:
    """Both sides as the server has them: prices and amounts as it writes them."""

    def __init__(self) -> None:
        self._asks: dict[str, str] = {}
        self._bids: dict[str, str] = {}

    @property
    def asks(self) -> Levels:
        """Best first: ascending."""
        return sorted(self._asks.items(), key=lambda level: Decimal(level[0]))

    @property
    def bids(self) -> Levels:
        """Best first: descending."""
        return sorted(self._bids.items(), key=lambda level: Decimal(level[0]), reverse=True)

    def apply(self, data: dict[str, Any], *, is_whole: bool) -> bool:
        """Takes what a message holds in; whether the book is then the server's."""
        if is_whole:
            self._asks.clear()
            self._bids.clear()
        _change(self._asks, data["asks"])
        _change(self._bids, data["bids"])
        is_same: bool = book_checksum(self.asks, self.bids) == data["checksum"]
        return is_same


def _change(side: dict[str, str], levels: Iterable[tuple[str, str]]) -> None:
    for price, amount in levels:
        if Decimal(amount) == 0:
            side.pop(price, None)
        else:
            side[price] = amount
