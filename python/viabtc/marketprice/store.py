"""What stores of market data have in common: they take changes and their position as one.

A store is a projection: after a crash the board is read from it and goes on behind its position, so
that each deal is counted exactly once.
"""

from dataclasses import dataclass
from typing import Final, Protocol, TypedDict

RECENT_MAX: Final = 10_000
"""Newest deals that are kept of each market."""

LENGTHS: Final = ("1s", "1m", "1h", "1d")
"""Lengths of candles, shortest first."""


class MarketChanges(TypedDict):
    """What changed in one market, as the stores hold it."""

    market: str
    last: str
    candles: dict[str, list[tuple[int, str]]]
    """By length: first second and text."""
    deals: list[str]
    """New ones, oldest first."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far the deals have been counted in."""

    offset: int | None = None
    """Of the topic's last message."""
    number: int | None = None
    """Of the topic's last message that has a number."""
    sequence: int = 0
    """Of the feed's last command."""


@dataclass(slots=True)
class Stored:
    """What a store has of one market."""

    candles: dict[str, list[tuple[int, bytes]]]
    deals: list[bytes]
    """Oldest first."""
    last: str | None


class StoreError(Exception):
    """The store did not take or give what was asked; nothing was changed, or all of it."""


class StoreConflictError(StoreError):
    """The store is not as it was left: it lost its end, or everything."""


class Store(Protocol):
    """Keeps a board's state."""

    async def holds(self, position: Position) -> bool:
        """Whether a `save` or `replace` that got no answer took place.

        Raises:
            StoreError: it cannot be asked.
        """

    async def load(self, kept_from: dict[str, int]) -> tuple[Position | None, dict[str, Stored]]:
        """Position and markets; candles before `kept_from` of their length may be left out.

        Raises:
            StoreError: it cannot be read.
        """

    async def save(self, changes: list[MarketChanges], position: Position) -> None:
        """Takes changes and position together.

        Raises:
            StoreConflictError: it holds another position than the one saved or loaded last.
            StoreError: it is away.
        """

    async def replace(self, changes: list[MarketChanges], position: Position) -> None:
        """Takes changes and position in the place of everything that it holds.

        Raises:
            StoreError: it is away.
        """

    async def clean(self, kept_from: dict[str, int]) -> None:
        """Drops candles before `kept_from` of their length.

        Raises:
            StoreError: it is away.
        """
