"""Slices in the embedded store's file: tables of the original's form, and the exact state.

Each page is a transaction: the engine's process writes its history to the same file meanwhile.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Self

from viabtc.edges.store import SliceEnd, StoreError, balance_table, order_table

_BUSY_TIMEOUT_S: Final = 30.0
"""How long a statement waits for the engine's own transactions."""

_ORDERS: Final = (
    "id INTEGER PRIMARY KEY, t INTEGER NOT NULL, side INTEGER NOT NULL, create_time REAL NOT NULL,"
    " update_time REAL NOT NULL, user_id INTEGER NOT NULL, market TEXT NOT NULL,"
    " price TEXT NOT NULL, amount TEXT NOT NULL, taker_fee TEXT NOT NULL, maker_fee TEXT NOT NULL,"
    " `left` TEXT NOT NULL, freeze TEXT NOT NULL, deal_stock TEXT NOT NULL,"
    " deal_money TEXT NOT NULL, deal_fee TEXT NOT NULL"
)
_BALANCES: Final = (
    "id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL, asset TEXT NOT NULL, t INTEGER NOT NULL,"
    " balance TEXT NOT NULL"
)


class SqliteSlices:
    """A connection of its own; a context manager."""

    rendering = "sqlite"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        """Opens the file, which the engine made.

        Raises:
            StoreError: it cannot be opened.
        """
        try:
            self._connection = sqlite3.connect(
                f"{self._path.resolve().as_uri()}?mode=rw",
                uri=True,
                timeout=_BUSY_TIMEOUT_S,
                isolation_level=None,
            )
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}", retriable=True) from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()

    def begin(self, time: int) -> None:
        with self._transaction() as connection:
            left = connection.execute(
                "SELECT DISTINCT time FROM viabtc_slice"
                " WHERE time NOT IN (SELECT time FROM slice_history)"
            ).fetchall()
            for leftover in {*(row[0] for row in left), time}:
                _remove(connection, leftover)
            connection.execute(f"CREATE TABLE {order_table(time)} ({_ORDERS})")
            connection.execute(f"CREATE TABLE {balance_table(time)} ({_BALANCES})")

    def write(self, table: str, page: Sequence[Sequence[Any]]) -> None:
        places = ", ".join("?" * len(page[0]))
        with self._transaction() as connection:
            connection.executemany(f"INSERT INTO {table} VALUES ({places})", page)  # noqa: S608 - our own names

    def write_state(self, time: int, sequence: int, chunk: int, piece: bytes, digest: str) -> None:
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO viabtc_slice VALUES (?, ?, ?, ?, ?)",
                (time, sequence, chunk, piece, digest),
            )

    def register(self, end: SliceEnd) -> None:
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO slice_history VALUES (NULL, ?, ?, ?, ?)",
                (end.time, end.operlog_id, end.order_id, end.deal_id),
            )

    def remove_before(self, time: int) -> None:
        with self._transaction() as connection:
            sql = "SELECT time FROM slice_history WHERE time < ?"
            old = connection.execute(sql, (time,)).fetchall()
        for (when,) in old:
            with self._transaction() as connection:
                _remove(connection, when)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        if self._connection is None:
            raise StoreError(f"{self._path} is not open", retriable=True)
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}", retriable=True) from error


def _remove(connection: sqlite3.Connection, time: int) -> None:
    connection.execute("DELETE FROM slice_history WHERE time = ?", (time,))
    connection.execute("DELETE FROM viabtc_slice WHERE time = ?", (time,))
    connection.execute(f"DROP TABLE IF EXISTS {order_table(time)}")
    connection.execute(f"DROP TABLE IF EXISTS {balance_table(time)}")
