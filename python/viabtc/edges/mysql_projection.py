"""Where projections write in MySQL and MariaDB.

A batch is one transaction: the lease, the position, the rows. The lease keeps a second engine out;
the position, compared as it moves, makes each batch count once; and after a commit that got no
answer the position is read back on a new connection.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncmy
from asyncmy.errors import MySQLError

from viabtc.edges.mysql import (
    ANSWER_TIMEOUT_S,
    DATA_ERRORS,
    DUPLICATE,
    MysqlSettings,
    connect,
    errors,
    execute,
    run_sql,
    select,
)
from viabtc.edges.store import (
    Batch,
    DataError,
    FencedError,
    HeldError,
    Holder,
    Position,
    StoreError,
)

LEASE_S: Final = 5.0
"""A holder that was seen within this time still lives, as far as one can tell from outside."""

_RELEASE_TIMEOUT_S: Final = 1.0
"""How long a stop tries to give a lease back: of the 5 s that a stop may take, for two leases."""

_PACKET_BYTES: Final = 1 << 20
"""Statements are sent together up to this size, below every server's `max_allowed_packet`."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a batch does to the database."""

    tables: Sequence[bytes]
    """Statements that make tables; each commits by itself, so they come before the others."""
    rows: Sequence[bytes]
    is_numbered: bool = False
    """Whether rows have numbers that nobody else gives."""


Render = Callable[[Any], Rendered]
"""Turns a batch's content into statements."""


def history(content: Any) -> Rendered:
    """Content of the projection `history`: statements already."""
    return Rendered((), content)


def operlog(content: Any) -> Rendered:
    """Content of the projection `operlog`: rows go to the table of their local date.

    Commands that the original does not know go to a table of ours.
    """
    tables: dict[bytes, None] = {}
    rows = []
    pieces, own = content
    if own:
        rows.append(
            b"INSERT INTO viabtc_operlog (`sequence`, `after_operlog_id`, `body`) VALUES " + own
        )
    for time_us, values in pieces:
        table = time.strftime("operlog_%Y%m%d", time.localtime(time_us // 1_000_000)).encode()
        tables[b"CREATE TABLE IF NOT EXISTS `%s` LIKE `operlog_example`" % table] = None
        rows.append(b"INSERT INTO `%s` (`id`, `time`, `detail`) VALUES %s" % (table, values))
    return Rendered(tuple(tables), rows, is_numbered=True)


class MysqlProjection:
    """Where one projection writes."""

    def __init__(
        self,
        settings: MysqlSettings,
        name: str,
        holder: Holder,
        render: Render,
        *,
        take_over: bool = False,
        epoch_min: int = 0,
    ) -> None:
        self._epoch_min = epoch_min
        self._settings = settings
        self._name = name.encode()
        self.holder = holder.name
        self._predecessors = holder.predecessors
        self._render = render
        self._take_over = take_over
        self._connection: asyncmy.Connection | None = None
        self._made: set[bytes] = set()
        self.epoch: int | None = None
        """Of the lease, once it is ours."""

    async def position(self) -> Position:
        """Begins anew: a new session, the lease, the position.

        Raises:
            StoreError: the database cannot be used now.
            FencedError: another engine has the lease.
        """
        await self.close()
        self._connection = connection = await connect(self._settings)
        async with self._session(f"cannot begin with {self._settings}"):
            await self._claim(connection)
            sql = "SELECT `sequence`, `part` FROM viabtc_position WHERE `name` = %s"
            (row,) = await select(connection, sql, (self._name.decode(),))
            return Position(*row)

    async def beat(self) -> None:
        """Shows that we still hold the lease, when there is nothing to write.

        Raises:
            StoreError: the database cannot be used now, or the lease is lost.
        """
        connection = self._open()
        async with self._session(f"cannot renew the lease in {self._settings}"):
            self._check_lease((await run_sql(connection, self._hold()))[0])

    async def write(self, batch: Batch, after: Position) -> None:
        """Writes a batch if the projection is at `after`.

        Raises:
            DataError: the server refuses rows of it for what they hold; nothing was written.
            FencedError: somebody else gave the numbers of its rows.
            StoreError: it was not written, or nobody knows, or the lease is lost.
        """
        connection = self._open()
        rendered = self._render(batch.content)
        try:
            async with self._session(f"cannot write to {self._settings}") as limit:
                await self._begin(connection, rendered, batch, after)
                for packet in _packets(rendered.rows):
                    _extend(limit)
                    await run_sql(connection, packet)
                _extend(limit)
                await run_sql(connection, b"COMMIT")
        except DataError as error:
            cause = error.__cause__
            is_given = isinstance(cause, MySQLError) and cause.args[0] == DUPLICATE
            if rendered.is_numbered and is_given:
                # A commit of unknown fate is read back, so these are not ours.
                problem = f"somebody else went on in {self._settings}: {error}"
                raise FencedError(problem) from error
            raise

    async def write_around(self, batch: Batch, after: Position) -> int:
        """As `write`, but statements that are refused for their data go to `viabtc_dead_letter`.

        Returns:
            How many went there.

        Raises:
            StoreError: it was not written, or nobody knows.
        """
        connection = self._open()
        rendered = self._render(batch.content)
        dead = 0
        async with self._session(f"cannot write to {self._settings}"):
            await self._begin(connection, rendered, batch, after)
            for statement in rendered.rows:
                try:
                    await run_sql(connection, statement)
                except MySQLError as error:
                    if error.args[0] not in DATA_ERRORS:
                        raise
                    dead += 1
                    await execute(
                        connection,
                        "INSERT INTO viabtc_dead_letter (`time`, `name`, `sequence`, `error`,"
                        " `statement`) VALUES (UTC_TIMESTAMP(6), %s, %s, %s, %s)",
                        (self._name.decode(), batch.sequence, str(error.args), statement),
                    )
            await run_sql(connection, b"COMMIT")
        return dead

    async def keep_settings(self, sequence: int, epoch: int, text: str) -> None:
        """Keeps the settings that commands behind `sequence` are decided by, under our lease.

        Raises:
            StoreError: they are not kept, or the lease is lost.
        """
        connection = self._open()
        async with self._session(f"cannot keep settings in {self._settings}"):
            await run_sql(connection, b"START TRANSACTION")
            self._check_lease((await run_sql(connection, self._hold()))[0])
            sql = "REPLACE INTO viabtc_settings (`sequence`, `epoch`, `body`) VALUES (%s, %s, %s)"
            await execute(connection, sql, (sequence, epoch, text))
            await run_sql(connection, b"COMMIT")

    async def release(self) -> None:
        """Gives the lease back, so that the next start need not wait; failing is no harm.

        A stop that comes while a batch or a sign of life is under way ends the session with it. The
        lease is given back in a new one then.
        """
        if self.epoch is not None:
            with contextlib.suppress(StoreError):
                async with self._session("cannot release the lease", _RELEASE_TIMEOUT_S):
                    if self._connection is None:
                        self._connection = await connect(self._settings)
                    await run_sql(
                        self._connection,
                        b"UPDATE viabtc_lease SET `holder` = '' WHERE `name` = '%s'"
                        b" AND `holder` = '%s'" % (self._name, self.holder.encode()),
                    )
        await self.close()

    async def close(self) -> None:
        """Ends the session, whatever it does."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> asyncmy.Connection:
        if self._connection is None:
            raise StoreError(f"{self._settings} is not connected", retriable=True)
        return self._connection

    @contextlib.asynccontextmanager
    async def _session(
        self, what: str, timeout_s: float = ANSWER_TIMEOUT_S
    ) -> AsyncIterator[asyncio.Timeout]:
        """Gives the session up after any failure: what the server did is then read back."""
        try:
            async with errors(what), asyncio.timeout(timeout_s) as limit:
                yield limit
        except BaseException:
            await self.close()
            raise

    async def _claim(self, connection: asyncmy.Connection) -> None:
        name = self._name.decode()
        for sql in (
            "INSERT INTO viabtc_lease VALUES (%s, 0, '', '2000-01-01')",
            "INSERT INTO viabtc_position VALUES (%s, 0, 0, 0)",
        ):
            await execute(connection, f"{sql} ON DUPLICATE KEY UPDATE `name` = `name`", (name,))
        await run_sql(connection, b"START TRANSACTION")
        sql = (
            "SELECT `epoch`, `holder`, TIMESTAMPDIFF(MICROSECOND, `seen`, UTC_TIMESTAMP(6))"
            " FROM viabtc_lease WHERE `name` = %s FOR UPDATE"
        )
        ((epoch, holder, age_us),) = await select(connection, sql, (name,))
        if self.epoch is None:
            may_live = holder and holder not in self._predecessors and age_us < LEASE_S * 1e6
            if may_live and not self._take_over:
                raise HeldError(
                    f"{holder} wrote {name} of {self._settings} {age_us / 1e6:.1f} s ago; waiting"
                    f" until it is silent for {LEASE_S:.0f} s (--take-over does not wait)",
                )
            self.epoch = max(epoch + 1, self._epoch_min)
        elif epoch > self.epoch or (epoch == self.epoch and holder not in ("", self.holder)):
            raise FencedError(f"{holder} took {name} of {self._settings} over")
        # An older epoch is that of a server without the last transactions: the lease is still ours.
        await execute(
            connection,
            "UPDATE viabtc_lease SET `epoch` = %s, `holder` = %s, `seen` = UTC_TIMESTAMP(6)"
            " WHERE `name` = %s",
            (self.epoch, self.holder, name),
        )
        await run_sql(connection, b"COMMIT")

    def _hold(self) -> bytes:
        return (
            b"UPDATE viabtc_lease SET `seen` = UTC_TIMESTAMP(6)"
            b" WHERE `name` = '%s' AND `epoch` = %d AND `holder` = '%s'"
        ) % (self._name, self.epoch or 0, self.holder.encode())

    def _check_lease(self, changed: int) -> None:
        if changed != 1:
            name = self._name.decode()
            # Whether it is lost for good is seen when the next session claims it.
            problem = f"the lease of {name} in {self._settings} is not ours any more"
            raise StoreError(problem, retriable=True)

    async def _begin(
        self, connection: asyncmy.Connection, rendered: Rendered, batch: Batch, after: Position
    ) -> None:
        for statement in rendered.tables:
            if statement not in self._made:
                await run_sql(connection, statement)
                self._made.add(statement)
        move = (
            b"UPDATE viabtc_position SET `epoch` = %d, `sequence` = %d, `part` = %d"
            b" WHERE `name` = '%s' AND `sequence` = %d AND `part` = %d"
        ) % (
            *(self.epoch or 0, batch.sequence, batch.part),
            *(self._name, after.sequence, after.part),
        )
        begin = b";".join((b"START TRANSACTION", self._hold(), move))
        _, held, moved = await run_sql(connection, begin)
        self._check_lease(held)
        if moved != 1:
            name = self._name.decode()
            raise StoreError(
                f"{name} of {self._settings} is not at {after.sequence}.{after.part} any more",
                retriable=True,
            )


def _extend(limit: asyncio.Timeout) -> None:
    """Gives the next answer its time: a long batch on a slow server must come to its end, too."""
    limit.reschedule(asyncio.get_running_loop().time() + ANSWER_TIMEOUT_S)


def _packets(statements: Iterable[bytes]) -> Iterable[bytes]:
    """Joins statements up to the size of a packet."""
    packet: list[bytes] = []
    size = 0
    for statement in statements:
        if packet and size + len(statement) > _PACKET_BYTES:
            yield b";".join(packet)
            packet, size = [], 0
        packet.append(statement)
        size += len(statement) + 1
    if packet:
        yield b";".join(packet)
