"""Reads a file of order events: comma separated, with a header line, plain or compressed by gzip.

Columns `event` (`add`, `change`, `delete`), `order_id`, `side` (`bid`, `ask`), `price`, `amount`;
others are left alone. `change` carries the order's new price and amount, `delete` its last. An
identity may be added again once it was deleted. Every line is checked before anything is sent: a
problem names line and column.
"""

import csv
import gzip
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum
from pathlib import Path
from typing import Final, TextIO

COLUMNS: Final = ("event", "order_id", "side", "price", "amount")

_DIGITS_MAX: Final = 40
"""Digits of a number in the file; the exchange holds fewer."""


class Side(Enum):
    """A side of the book; the value is the number on the wire."""

    ASK = 1
    BID = 2

    @property
    def opposite(self) -> "Side":
        """The side that it trades with."""
        return Side.BID if self is Side.ASK else Side.ASK


class Kind(Enum):
    """What happened to an order."""

    ADD = "add"
    CHANGE = "change"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the file."""

    line: int
    kind: Kind
    order_id: str
    side: Side
    price: Decimal
    amount: Decimal


class FileProblem(Exception):  # noqa: N818
    """The file cannot be played: where, what is wrong, and what would be right."""

    def __init__(self, where: str, problem: str, right: str) -> None:
        super().__init__(f"{where}: {problem}")
        self.right = right


def at(line: int, column: str) -> str:
    """A place in the file, as problems name it."""
    return f"line {line}, column {column}"


def read_events(path: Path) -> list[Event]:
    """Reads and checks the whole file.

    Raises:
        FileProblem: it cannot be read, or a line makes no sense.
    """
    try:
        with _open(path) as file:
            events = list(_check_history(_parse(file)))
    except (OSError, EOFError, zlib.error) as error:
        raise FileProblem(
            "the file", f"cannot be read: {error}", "name a readable .csv or .csv.gz file"
        ) from error
    except UnicodeDecodeError as error:
        raise FileProblem("the file", f"is not text: {error}", "save it as UTF-8 text") from error
    if not events:
        raise FileProblem("the file", "has no events", "give it at least one line after the header")
    return events


def _open(path: Path) -> TextIO:
    with path.open("rb") as file:
        is_compressed = file.read(2) == b"\x1f\x8b"
    if is_compressed:
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def _parse(file: TextIO) -> Iterator[Event]:
    reader = csv.reader(file)
    header = next(reader, [])
    places = []
    for column in COLUMNS:
        if column not in header:
            raise FileProblem(
                at(1, column),
                f"is missing, the header is {','.join(header) or 'empty'}",
                f"begin the file with the line {','.join(COLUMNS)}",
            )
        places.append(header.index(column))
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            where = f"line {reader.line_num}"
            raise FileProblem(where, str(error), "write comma separated values") from error
        if cells is None:
            return
        if cells:
            yield _event(reader.line_num, cells, len(header), places)


def _event(line: int, cells: list[str], width: int, places: list[int]) -> Event:
    if len(cells) != width:
        raise FileProblem(
            f"line {line}",
            f"has {len(cells)} columns, the header has {width}",
            "give every line as many columns as the header",
        )
    kind, order_id, side, price, amount = (cells[place] for place in places)
    if kind not in {"add", "change", "delete"}:
        raise FileProblem(at(line, "event"), f'is "{kind}"', "write add, change or delete")
    if not order_id:
        raise FileProblem(at(line, "order_id"), "is empty", "name the order")
    if side not in {"bid", "ask"}:
        raise FileProblem(at(line, "side"), f'is "{side}"', "write bid or ask")
    return Event(
        line,
        Kind(kind),
        order_id,
        Side.BID if side == "bid" else Side.ASK,
        _number(line, "price", price),
        _number(line, "amount", amount),
    )


def _number(line: int, column: str, text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number <= 0 or "_" in text:
        raise FileProblem(
            at(line, column), f'is "{text}"', "write a decimal number above 0, such as 0.25"
        )
    if len(number.as_tuple().digits) > _DIGITS_MAX or abs(number.adjusted()) > _DIGITS_MAX:
        raise FileProblem(at(line, column), f'is "{text}"', f"write at most {_DIGITS_MAX} digits")
    return number


def _check_history(events: Iterable[Event]) -> Iterator[Event]:
    """Passes events on while each fits what came before it."""
    opened: dict[str, Event] = {}
    for event in events:
        before = opened.get(event.order_id)
        if event.kind is Kind.ADD:
            if before is not None:
                raise FileProblem(
                    at(event.line, "order_id"),
                    f"order {event.order_id} is open since line {before.line}",
                    "add each order once until it is deleted",
                )
            opened[event.order_id] = event
        elif before is None:
            raise FileProblem(
                at(event.line, "order_id"),
                f"order {event.order_id} is not open",
                "add an order before it is changed or deleted",
            )
        elif before.side is not event.side:
            raise FileProblem(
                at(event.line, "side"),
                f"order {event.order_id} is a {before.side.name.lower()} since line {before.line}",
                "keep an order on its side",
            )
        elif event.kind is Kind.DELETE:
            del opened[event.order_id]
        yield event
