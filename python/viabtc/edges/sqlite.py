"""The embedded store: one SQLite file, written by one thread, read by others.

Every statement of a projection's batch and its position are one transaction. The file survives a
crash of the process at any point; a power cut may take back the last transactions as a whole, and
the projection writes them again from the feed.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from threading import local
from typing import Any, Final, TypeVar

from viabtc.edges.store import Batch, Position, StoreError
from viabtc.edges.threads import background

_READERS: Final = 2
"""Threads that answer queries; each has a connection of its own."""

_BUSY_TIMEOUT_MS: Final = 5_000
"""How long a statement waits for a tool that holds the file."""

_CACHE_KIB: Final = 65_536
"""Page cache of the writer: the upper levels of all indexes."""

T = TypeVar("T")


class SqliteStore:
    """An open store."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer = background(1, "sqlite-writer")
        self._readers = ThreadPoolExecutor(_READERS, "sqlite-reader")
        self._connections = local()
        self._opened: list[sqlite3.Connection] = []

    async def open(self) -> None:
        """Creates or upgrades the tables.

        Raises:
            StoreError: the file cannot be used.
        """
        await self._write(_upgrade)

    async def close(self) -> None:
        """Ends the threads after what they do now, and closes the file."""
        await asyncio.to_thread(self._close)

    def projection(self, name: str, epoch: int) -> "SqliteProjection":
        """Where the projection called `name` writes in this run of the engine."""
        return SqliteProjection(self, name, epoch)

    async def position(self, name: str) -> Position:
        """Position of a projection.

        Raises:
            StoreError: the file cannot be used.
        """
        sql = "SELECT sequence, part FROM viabtc_position WHERE name = ?"
        rows = await self._write(lambda connection: connection.execute(sql, (name,)).fetchall())
        return Position(*rows[0]) if rows else Position()

    async def write(self, name: str, epoch: int, batch: Batch, after: Position) -> None:
        """Adds a batch's rows, by table, if the projection is at `after`.

        Raises:
            StoreError: nothing was written.
        """

        def insert(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            try:
                _move(connection, name, epoch, batch, after)
                for table, rows in batch.content.items():
                    if rows:
                        places = ", ".join("?" * len(rows[0]))
                        sql = f"INSERT INTO {table} VALUES ({places})"  # noqa: S608 - our own names
                        connection.executemany(sql, rows)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

        await self._write(insert)

    async def fetch(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Rows of a query.

        Raises:
            StoreError: it cannot be answered.
        """
        return await self._run(
            self._readers, lambda connection: connection.execute(sql, values).fetchall()
        )

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._run(self._writer, work)

    async def _run(self, threads: ThreadPoolExecutor, work: Callable[[sqlite3.Connection], T]) -> T:
        def run() -> T:
            try:
                return work(self._connection())
            except (sqlite3.Error, OverflowError) as error:
                # Disk full, a lock that is held too long, a file that was damaged.
                raise StoreError(f"{self.path}: {error}", retriable=True) from error

        return await asyncio.get_running_loop().run_in_executor(threads, run)

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._connections, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            self._connections.connection = connection
            self._opened.append(connection)
        return connection

    def _close(self) -> None:
        self._writer.shutdown()
        self._readers.shutdown()
        for connection in self._opened:
            connection.close()


@dataclass(frozen=True, slots=True)
class SqliteProjection:
    """The store as one projection sees it."""

    store: SqliteStore
    name: str
    epoch: int

    async def position(self) -> Position:
        return await self.store.position(self.name)

    async def beat(self) -> None:
        """A file needs no sign of life."""

    async def write(self, batch: Batch, after: Position) -> None:
        await self.store.write(self.name, self.epoch, batch, after)

    async def write_around(self, batch: Batch, after: Position) -> int:
        """The tables take every value, so nothing is ever put aside."""
        await self.write(batch, after)
        return 0


def _move(
    connection: sqlite3.Connection, name: str, epoch: int, batch: Batch, after: Position
) -> None:
    connection.execute("INSERT OR IGNORE INTO viabtc_position VALUES (?, ?, 0, 0)", (name, epoch))
    moved = connection.execute(
        "UPDATE viabtc_position SET epoch = ?, sequence = ?, part = ?"
        " WHERE name = ? AND sequence = ? AND part = ?",
        (epoch, batch.sequence, batch.part, name, after.sequence, after.part),
    )
    if moved.rowcount != 1:
        problem = f"the position of {name} is not {after.sequence}.{after.part} any more"
        raise StoreError(problem, retriable=True)


def _upgrade(connection: sqlite3.Connection) -> None:
    scripts = sorted(
        (script for script in files(__package__).joinpath("schema/sqlite").iterdir()),
        key=lambda script: script.name,
    )
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(scripts):
        problem = f"a newer version of viabtc made its tables (version {version})"
        raise StoreError(problem, retriable=False)
    for number, script in enumerate(scripts[version:], version + 1):
        text = script.read_text(encoding="utf-8")
        connection.executescript(f"BEGIN;\n{text}\nPRAGMA user_version = {number};\nCOMMIT;")
