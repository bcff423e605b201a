"""Market data in one SQLite file: data and position in one transaction."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final, TypeVar

from viabtc.edges.threads import background
from viabtc.marketprice.store import (
    RECENT_MAX,
    MarketChanges,
    Position,
    Stored,
    StoreError,
)

_NAME: Final = "market"
"""Of the projection, in the table of positions."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS viabtc_candle (
    market TEXT NOT NULL, length TEXT NOT NULL, time INTEGER NOT NULL, candle TEXT NOT NULL,
    PRIMARY KEY (market, length, time)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS viabtc_recent (
    place INTEGER PRIMARY KEY AUTOINCREMENT, market TEXT NOT NULL, deal TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS viabtc_recent_market ON viabtc_recent (market, place);
CREATE TABLE IF NOT EXISTS viabtc_last (market TEXT PRIMARY KEY, price TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS viabtc_position (
    name TEXT PRIMARY KEY, sequence INTEGER NOT NULL
) WITHOUT ROWID;
"""

_PRUNE: Final = """
DELETE FROM viabtc_recent WHERE market = ? AND place <= (
    SELECT place FROM viabtc_recent WHERE market = ? ORDER BY place DESC LIMIT 1 OFFSET ?
)
"""

R = TypeVar("R")


class SqliteStore:
    """A file and the one thread that uses it; `open_sqlite_store` makes one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._thread = background(1, "market-store")
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Opens the file, which is made when missing.

        Raises:
            StoreError: it cannot be used.
        """
        await self._do(lambda _: None)

    async def close(self) -> None:
        """Closes the file."""
        connection = self._connection
        if connection is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, connection.close)
        self._thread.shutdown()

    async def holds(self, position: Position) -> bool:
        """As `Store.holds`."""
        return await self._do(_position) == Position(sequence=position.sequence)

    async def load(self, kept_from: dict[str, int]) -> tuple[Position | None, dict[str, Stored]]:
        """As `Store.load`."""
        return await self._do(lambda connection: _load(connection, kept_from))

    async def save(self, changes: list[MarketChanges], position: Position) -> None:
        """As `Store.save`; nobody else writes the file, so it is always as it was left."""
        await self._do(lambda connection: _save(connection, changes, position))

    async def replace(self, changes: list[MarketChanges], position: Position) -> None:
        """As `Store.replace`."""

        def replace(connection: sqlite3.Connection) -> None:
            for table in ("viabtc_candle", "viabtc_recent", "viabtc_last", "viabtc_position"):
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names of our own
            _save(connection, changes, position)

        await self._do(replace)

    async def clean(self, kept_from: dict[str, int]) -> None:
        """As `Store.clean`."""

        def clean(connection: sqlite3.Connection) -> None:
            for length, time in kept_from.items():
                connection.execute(
                    "DELETE FROM viabtc_candle WHERE length = ? AND time < ?", (length, time)
                )

        await self._do(clean)

    async def _do(self, act: Callable[[sqlite3.Connection], R]) -> R:
        """Runs one transaction on the thread."""

        def run() -> R:
            if self._connection is None:
                self._connection = _connect(self.path)
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                return act(self._connection)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, run)
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from error


@contextlib.asynccontextmanager
async def open_sqlite_store(path: Path) -> AsyncIterator[SqliteStore]:
    """The store in a file.

    Raises:
        StoreError: it cannot be used.
    """
    store = SqliteStore(path)
    try:
        await store.open()
        yield store
    finally:
        await store.close()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    # A power cut may take the last transactions, never half of one: they are made again.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.executescript(_SCHEMA)
    return connection


def _load(
    connection: sqlite3.Connection, kept_from: dict[str, int]
) -> tuple[Position | None, dict[str, Stored]]:
    position = _position(connection)
    if position is None:
        return None, {}
    markets: dict[str, Stored] = {}
    for market, price in connection.execute("SELECT market, price FROM viabtc_last"):
        markets[market] = Stored({}, [], price)
    for market, length, time, candle in connection.execute(
        "SELECT market, length, time, candle FROM viabtc_candle ORDER BY market, length, time"
    ):
        if time >= kept_from.get(length, 0):
            markets[market].candles.setdefault(length, []).append((time, candle.encode()))
    for market, deal in connection.execute("SELECT market, deal FROM viabtc_recent ORDER BY place"):
        markets[market].deals.append(deal.encode())
    return position, markets


def _position(connection: sqlite3.Connection) -> Position | None:
    row = connection.execute(
        "SELECT sequence FROM viabtc_position WHERE name = ?", (_NAME,)
    ).fetchone()
    return None if row is None else Position(sequence=row[0])


def _save(connection: sqlite3.Connection, changes: list[MarketChanges], position: Position) -> None:
    for market in changes:
        name = market["market"]
        connection.execute(
            "INSERT OR REPLACE INTO viabtc_last VALUES (?, ?)", (name, market["last"])
        )
        for length, rows in market["candles"].items():
            connection.executemany(
                "INSERT OR REPLACE INTO viabtc_candle VALUES (?, ?, ?, ?)",
                [(name, length, time, candle) for time, candle in rows],
            )
        if market["deals"]:
            connection.executemany(
                "INSERT INTO viabtc_recent (market, deal) VALUES (?, ?)",
                [(name, deal) for deal in market["deals"]],
            )
            connection.execute(_PRUNE, (name, name, RECENT_MAX))
    connection.execute(
        "INSERT OR REPLACE INTO viabtc_position VALUES (?, ?)", (_NAME, position.sequence)
    )
