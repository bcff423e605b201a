"""`viabtc export`: history as CSV, from the embedded store or from the history database."""

import asyncio
import csv
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TextIO

from viabtc.edges.mysql import MysqlReader, MysqlSettings
from viabtc.edges.sqlite import SqliteStore
from viabtc.edges.store import StoreError
from viabtc.service.database import read_database
from viabtc.service.failure import EXIT_CONFIGURATION, StartFailure
from viabtc.service.settings import read_file

_PAGE_ROWS: Final = 10_000
"""Rows that are held at once."""

_SHARDS: Final = 100

_FILE: Final = "history.sqlite3"
"""The embedded store in a data directory."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """Where a subject's rows are."""

    family: str
    time: str
    """The column that `--from` and `--to` bound."""
    columns: tuple[str, ...]


_KINDS: Final = {
    "orders": _Kind(
        "order_history",
        "finish_time",
        (
            *("id", "create_time", "finish_time", "user_id", "market", "source", "t", "side"),
            *("price", "amount", "taker_fee", "maker_fee", "deal_stock", "deal_money", "deal_fee"),
        ),
    ),
    "deals": _Kind(
        "user_deal_history",
        "time",
        (
            *("time", "user_id", "market", "deal_id", "order_id", "deal_order_id", "side"),
            *("role", "price", "amount", "deal", "fee", "deal_fee"),
        ),
    ),
    "balances": _Kind(
        "balance_history",
        "time",
        ("time", "user_id", "asset", "business", "change", "balance", "detail"),
    ),
}


def export(
    subject: str, source: Path, start: datetime | None, end: datetime | None, out: TextIO
) -> int:
    """Writes the rows with `start <= time < end`; the exit code.

    `source` is a data directory, or a configuration file with `db_history`.

    Raises:
        SettingsError, StartFailure: the source cannot be read.
    """
    bounds = (start.timestamp() if start else 0.0, end.timestamp() if end else float(2**63))
    try:
        count = asyncio.run(_export(_open(source), _KINDS[subject], bounds, out))
    except StoreError as error:
        raise StartFailure(f"{source}: {error}", "start its server, or name another") from error
    print(f"{count} {subject}", file=sys.stderr)
    return 0


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


async def _export(source: _Source, kind: _Kind, bounds: tuple[float, float], out: TextIO) -> int:
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(kind.columns)
    count = 0
    tables = [f"{kind.family}_{shard}" for shard in range(source.shards)] or [kind.family]
    async with AsyncExitStack() as stack:
        stack.push_async_callback(source.reader.close)
        for table in tables:
            async for page in _pages(source, kind, table, bounds):
                writer.writerows(page)
                count += len(page)
    return count


async def _pages(
    source: _Source, kind: _Kind, table: str, bounds: tuple[float, float]
) -> AsyncIterator[Sequence[Sequence[str]]]:
    place = source.place
    names = ", ".join(f"`{column}`" for column in kind.columns)
    sql = (
        f"SELECT id, {names} FROM {table} WHERE id > {place} AND {kind.time} >= {place}"  # noqa: S608
        f" AND {kind.time} < {place} ORDER BY id LIMIT {_PAGE_ROWS}"
    )
    after = 0
    while rows := await source.reader.fetch(sql, (after, *bounds)):
        after = rows[-1][0]
        yield [[_text(value) for value in values] for _, *values in rows]


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
