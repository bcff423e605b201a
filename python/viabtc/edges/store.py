"""What the stores of projections have in common: positions, and how they fail."""

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """How far a projection is: every command up to `sequence`, and `part` events of the next."""

    sequence: int = 0
    part: int = 0


@dataclass(frozen=True, slots=True)
class Holder:
    """Who writes, as leases name it."""

    name: str
    predecessors: frozenset[str] = frozenset()
    """Holders that are known to be dead: their leases are free at once."""


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


class DataError(StoreError):
    """Rows that the store refuses for what they hold; the others can be written around them."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem, retriable=True)


class FencedError(StoreError):
    """Another engine writes here now; this one must end."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem, retriable=False)


class HeldError(StoreError):
    """Another engine writes here, or did so a moment ago."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem, retriable=True)


class Store(Protocol):
    """Where one projection writes, each batch once."""

    @property
    def epoch(self) -> int | None:
        """Under which this engine writes; None before the store was ours once."""

    async def position(self) -> Position:
        """What is written for good; also tells the fate of a commit that got no answer.

        Raises:
            StoreError: it cannot be asked.
        """

    async def beat(self) -> None:
        """Called about once a second while there is nothing to write.

        Raises:
            StoreError: the store cannot be used now.
        """

    async def write(self, batch: Batch, after: Position) -> None:
        """Writes a batch and its position in one transaction, if the store is at `after`.

        Raises:
            DataError: rows are refused for what they hold; nothing was written.
            StoreError: it was not written, or nobody knows: ask for the position.
        """

    async def write_around(self, batch: Batch, after: Position) -> int:
        """As `write`, but refused rows are put aside; how many pieces were.

        Raises:
            StoreError: it was not written, or nobody knows: ask for the position.
        """


@dataclass(frozen=True, slots=True)
class SliceEnd:
    """What a slice is registered with."""

    time: int
    """When it was begun, in seconds: no later command is of an earlier date."""
    operlog_id: int
    order_id: int
    deal_id: int
    """The last ones that were given."""


class SliceStore(Protocol):
    """Where slices are kept; one writes at a time, and a slice counts once it is registered."""

    @property
    def rendering(self) -> str:
        """How `_core.Slice` renders rows for it."""

    def begin(self, time: int) -> None:
        """Makes the tables of a slice, and removes what unfinished ones left.

        Raises:
            StoreError: the store cannot be used, or another engine writes here now.
        """

    def write(self, table: str, page: Any) -> None:
        """Adds rows.

        Raises:
            StoreError: the store cannot be used, or refuses them.
        """

    def write_state(self, time: int, sequence: int, chunk: int, piece: bytes, digest: str) -> None:
        """Adds a piece of the exact state.

        Raises:
            StoreError: the store cannot be used.
        """

    def register(self, end: SliceEnd) -> None:
        """Makes the slice count.

        Raises:
            StoreError: the store cannot be used, or another engine writes here now.
        """

    def remove_before(self, time: int) -> None:
        """Removes slices that were begun before.

        Raises:
            StoreError: the store cannot be used.
        """


def order_table(time: int) -> str:
    """Name of the table of a slice's orders."""
    return f"slice_order_{time}"


def balance_table(time: int) -> str:
    """Name of the table of a slice's balances."""
    return f"slice_balance_{time}"
