"""Slices in MySQL: the original's tables, and the exact state beside them.

The process that writes a slice is not the one that holds the lease: it is told the epoch of the
lease, and what makes a slice count is refused once another engine has the lease.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Final, Self, TypeVar

import asyncmy

from viabtc.edges.mysql import MysqlSettings, connect, errors, execute, run_sql, select
from viabtc.edges.store import FencedError, SliceEnd, StoreError, balance_table, order_table

_LEASE: Final = "operlog"
"""Name of the lease that guards the log database."""

_ANSWER_TIMEOUT_S: Final = 600.0
"""How long an answer may take: tables of millions of rows are dropped."""

T = TypeVar("T")


class MysqlSlices:
    """A session of its own; a context manager."""

    rendering = "mysql"

    def __init__(self, settings: MysqlSettings, epoch: int) -> None:
        """For the engine whose lease has this epoch."""
        self._settings = settings
        self._epoch = epoch
        self._runner = asyncio.Runner()
        self._connection: asyncmy.Connection | None = None

    def __enter__(self) -> Self:
        """Opens the session.

        Raises:
            StoreError: there is none.
        """
        try:
            self._connection = self._runner.run(connect(self._settings))
        except BaseException:
            self._runner.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()
        self._runner.close()

    def begin(self, time: int) -> None:
        self._check_lease()
        left = self._fetch(
            "SELECT DISTINCT `time` FROM viabtc_slice"
            " WHERE `time` NOT IN (SELECT `time` FROM slice_history)",
            (),
        )
        for leftover in {*(row[0] for row in left), time}:
            self._remove(leftover)
        for table in (order_table, balance_table):
            self._run(
                f"CREATE TABLE `{table(time)}` LIKE `{table(0).removesuffix('0')}example`".encode()
            )

    def write(self, _table: str, page: bytes) -> None:
        self._run(page)

    def write_state(self, time: int, sequence: int, chunk: int, piece: bytes, digest: str) -> None:
        self._run(
            b"INSERT INTO viabtc_slice (`time`, `sequence`, `chunk`, `bytes`, `digest`) VALUES"
            b" (%d, %d, %d, x'%s', '%s')"
            % (time, sequence, chunk, piece.hex().encode(), digest.encode())
        )

    def register(self, end: SliceEnd) -> None:
        self._run(b"START TRANSACTION")
        self._check_lease()
        self._run(
            b"INSERT INTO slice_history (`time`, `end_oper_id`, `end_order_id`, `end_deals_id`)"
            b" VALUES (%d, %d, %d, %d); COMMIT"
            % (end.time, end.operlog_id, end.order_id, end.deal_id)
        )

    def remove_before(self, time: int) -> None:
        for (old,) in self._fetch("SELECT `time` FROM slice_history WHERE `time` < %s", (time,)):
            self._remove(old)

    def _remove(self, time: int) -> None:
        # The row goes first: a slice without its tables must not count.
        for sql in (
            "DELETE FROM slice_history WHERE `time` = %s",
            "DELETE FROM viabtc_slice WHERE `time` = %s",
        ):
            self._wait(execute(self._session(), sql, (time,)))
        for table in (order_table(time), balance_table(time)):
            self._run(f"DROP TABLE IF EXISTS `{table}`".encode())

    def _check_lease(self) -> None:
        sql = "SELECT `epoch`, `holder` FROM viabtc_lease WHERE `name` = %s FOR UPDATE"
        rows = self._fetch(sql, (_LEASE,))
        if [epoch for epoch, _ in rows] != [self._epoch]:
            raise FencedError(f"another engine writes the log of {self._settings} now: {rows}")

    def _run(self, sql: bytes) -> None:
        self._wait(run_sql(self._session(), sql))

    def _fetch(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        return self._wait(select(self._session(), sql, values))

    def _session(self) -> asyncmy.Connection:
        if self._connection is None:
            raise StoreError(f"{self._settings} is not connected", retriable=True)
        return self._connection

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        async def guarded() -> T:
            async with (
                errors(f"cannot write a slice to {self._settings}"),
                asyncio.timeout(_ANSWER_TIMEOUT_S),
            ):
                return await work

        return self._runner.run(guarded())
