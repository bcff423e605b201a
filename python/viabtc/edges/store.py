"""What the stores of projections have in common: positions, and how they fail."""

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """How far a projection is: every command up to `sequence`, and `part` events of the next."""

    sequence: int = 0
    part: int = 0


class Batch(Protocol):
    """What is written in one transaction, with the position behind it."""

    @property
    def sequence(self) -> int: ...
    @property
    def part(self) -> int: ...
    @property
    def rows(self) -> int: ...
    @property
    def content(self) -> Any: ...


class StoreError(Exception):
    """A store that cannot be used; `retriable` says whether that may pass by itself."""

    def __init__(self, problem: str, *, retriable: bool) -> None:
        super().__init__(problem)
        self.retriable = retriable


class Store(Protocol):
    """Where one projection writes, each batch once."""

    async def position(self) -> Position:
        """What is written for good; also tells the fate of a commit that got no answer.

        Raises:
            StoreError: it cannot be asked.
        """

    async def write(self, batch: Batch, after: Position) -> None:
        """Writes a batch and its position in one transaction, if the store is at `after`.

        Raises:
            StoreError: it was not written, or nobody knows: ask for the position.
        """
