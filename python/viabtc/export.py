"""`viabtc export`: history as CSV or Parquet, from the embedded store or the history database."""

import asyncio
import csv
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol, TextIO

from viabtc.edges.mysql import MysqlReader, MysqlSettings
from viabtc.edges.parquet import MissingLibraryError, ParquetFile
from viabtc.edges.sqlite import SqliteStore
from viabtc.edges.store import StoreError
from viabtc.service.database import read_database
from viabtc.service.failure import EXIT_CONFIGURATION, StartFailure
from viabtc.service.settings import read_file

_PAGE_ROWS: Final = 10_000
"""Rows that are held at once."""

PARQUET: Final = ".parquet"
"""The ending of files in that format."""

_SHARDS: Final = 100

_FILE: Final = "history.sqlite3"
"""The embedded store in a data directory."""


_AMOUNT: Final = 8
_RATE: Final = 4
_PRODUCT: Final = 16
"""Decimals of the columns."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """Where a subject's rows are."""

    family: str
    time: str
    """The column that `--from` and `--to` bound."""
    columns: Mapping[str, str | int]
    """What each holds: `time`, `integer`, `text`, or the number of its decimals."""


_KINDS: Final = {
    "orders": _Kind(
        "order_history",
        "finish_time",
        {
            "id": "integer",
            "create_time": "time",
            "finish_time": "time",
            "user_id": "integer",
            "market": "text",
            "source": "text",
            "t": "integer",
            "side": "integer",
            "price": _AMOUNT,
            "amount": _AMOUNT,
            "taker_fee": _RATE,
            "maker_fee": _RATE,
            "deal_stock": _AMOUNT,
            "deal_money": _PRODUCT,
            "deal_fee": _PRODUCT,
        },
    ),
    "deals": _Kind(
        "user_deal_history",
        "time",
        {
            "time": "time",
            "user_id": "integer",
            "market": "text",
            "deal_id": "integer",
            "order_id": "integer",
            "deal_order_id": "integer",
            "side": "integer",
            "role": "integer",
            "price": _AMOUNT,
            "amount": _AMOUNT,
            "deal": _PRODUCT,
            "fee": _PRODUCT,
            "deal_fee": _PRODUCT,
        },
    ),
    "balances": _Kind(
        "balance_history",
        "time",
        {
            "time": "time",
            "user_id": "integer",
            "asset": "text",
            "business": "text",
            "change": _AMOUNT,
            "balance": _PRODUCT,
            "detail": "text",
        },
    ),
}


class _Out(Protocol):
    """Where pages go."""

    def write(self, rows: Sequence[Sequence[Any]]) -> None: ...


class _Csv:
    """Lines with a head."""

    def __init__(self, out: TextIO, columns: Mapping[str, str | int]) -> None:
        self._writer = csv.writer(out, lineterminator="\n")
        self._writer.writerow(columns)

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        self._writer.writerows([_text(value) for value in row] for row in rows)


def export(
    subject: str, source: Path, start: datetime | None, end: datetime | None, out: Path | None
) -> int:
    """Writes the rows with `start <= time < end`; the exit code.

    Args:
        subject: `orders`, `deals` or `balances`.
        source: A data directory, or a configuration file with `db_history`.
        start: None for all from the first.
        end: None for all to the last.
        out: A file, Parquet when it is called so; None for CSV on standard output.

    Raises:
        SettingsError, StartFailure: the source cannot be read, or pyarrow is missing.
    """
    kind = _KINDS[subject]
    bounds = (start.timestamp() if start else 0.0, end.timestamp() if end else float(2**63))
    opened = _open(source)
    try:
        with _open_out(out, kind.columns) as target:
            count = asyncio.run(_export(opened, kind, bounds, target))
    except StoreError as error:
        raise StartFailure(f"{source}: {error}", "start its server, or name another") from error
    print(f"{count} {subject}", file=sys.stderr)
    return 0


@contextmanager
def _open_out(path: Path | None, columns: Mapping[str, str | int]) -> Iterator[_Out]:
    if path is None:
        yield _Csv(sys.stdout, columns)
    elif path.suffix == PARQUET:
        try:
            file = ParquetFile(path, columns)
        except MissingLibraryError as error:
            raise StartFailure(
                "Parquet needs pyarrow, which is not installed",
                "pip install 'viabtc[parquet]', or export CSV",
            ) from error
        with file:
            yield file
    else:
        with path.open("w", encoding="utf-8", newline="") as text:
            yield _Csv(text, columns)


@dataclass(frozen=True, slots=True)
class _Source:
    """An open store."""

    reader: MysqlReader | SqliteStore
    shards: int
    """Tables of a family; 0 for one without a number."""
    place: str
    """Stands for a parameter."""


def _open(source: Path) -> _Source:
    if not source.is_dir():
        return _Source(MysqlReader(_database(source), 1), _SHARDS, "%s")
    path = source / _FILE
    if not path.exists():
        raise StartFailure(
            f"{source} holds no {_FILE}",
            "name the data directory of `viabtc run`",
            EXIT_CONFIGURATION,
        )
    return _Source(SqliteStore(path), 0, "?")


async def _export(source: _Source, kind: _Kind, bounds: tuple[float, float], out: _Out) -> int:
    count = 0
    tables = [f"{kind.family}_{shard}" for shard in range(source.shards)] or [kind.family]
    async with AsyncExitStack() as stack:
        stack.push_async_callback(source.reader.close)
        for table in tables:
            async for page in _pages(source, kind, table, bounds):
                out.write(page)
                count += len(page)
    return count


async def _pages(
    source: _Source, kind: _Kind, table: str, bounds: tuple[float, float]
) -> AsyncIterator[Sequence[Sequence[Any]]]:
    place = source.place
    names = ", ".join(f"`{column}`" for column in kind.columns)
    sql = (
        f"SELECT id, {names} FROM {table} WHERE id > {place} AND {kind.time} >= {place}"  # noqa: S608
        f" AND {kind.time} < {place} ORDER BY id LIMIT {_PAGE_ROWS}"
    )
    after = 0
    while rows := await source.reader.fetch(sql, (after, *bounds)):
        after = rows[-1][0]
        yield [values for _, *values in rows]


def _text(value: Any) -> str:
    """Times with microseconds, numbers in plain notation without trailing zeros."""
    if isinstance(value, float):
        return f"{value:.6f}"
    if isinstance(value, str | int):
        return str(value)
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _database(path: Path) -> MysqlSettings:
    settings, _ = read_file(path, lambda root: read_database(root.section("db_history")))
    return settings
