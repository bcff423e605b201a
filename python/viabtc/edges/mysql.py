"""MySQL and MariaDB: where projections write, and where history is read.

A batch is one transaction: the lease, the position, the rows. The lease keeps a second engine out;
the position, compared as it moves, makes each batch count once; and after a commit that got no
answer the position is read back on a new connection.

Sessions use utf8mb4 and a strict SQL mode with backslash escapes, whatever the server's defaults
are: the statements are rendered for that.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import Any, Final

import asyncmy
from asyncmy.constants import CLIENT
from asyncmy.errors import MySQLError

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

_CONNECT_TIMEOUT_S: Final = 5
_LOCK_TIMEOUT_S: Final = 5
"""How long a statement waits for rows that another session holds."""

_SESSION: Final = (
    b"SET SESSION sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION',"
    b" SESSION innodb_lock_wait_timeout = %d;"
    b"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED" % _LOCK_TIMEOUT_S
)

_ANSWER_TIMEOUT_S: Final = 60.0
"""How long an answer may take; then the connection is given up and the position read back."""

_RELEASE_TIMEOUT_S: Final = 1.0
"""How long a stop tries to give a lease back: of the 5 s that a stop may take, for two leases."""

_SCHEMA: Final = b"""CREATE TABLE IF NOT EXISTS `viabtc_schema` (
  `script` varchar(64) NOT NULL,
  `applied` datetime(6) NOT NULL,
  PRIMARY KEY (`script`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"""
"""Which scripts were run."""

_PACKET_BYTES: Final = 1 << 20
"""Statements are sent together up to this size, below every server's `max_allowed_packet`."""

_DUPLICATE: Final = 1062
"""A number that is there already."""

_DATA_ERRORS: Final = frozenset((1048, _DUPLICATE, 1264, 1265, 1292, 1366, 1406, 3988))
"""Errors of the data itself: repeating the statement repeats them."""


@dataclass(frozen=True, slots=True)
class MysqlSettings:
    """How a database is reached."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    name: str | None
    """Database; None for none."""

    def __str__(self) -> str:
        return f"{self.user}@{self.host}:{self.port}/{self.name or ''}"


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


async def connect(settings: MysqlSettings) -> asyncmy.Connection:
    """A session.

    Raises:
        StoreError: there is none.
    """
    connection = asyncmy.Connection(  # type: ignore[no-untyped-call]
        host=settings.host,
        port=settings.port,
        user=settings.user,
        password=settings.password,
        db=settings.name,
        charset="utf8mb4",
        client_flag=CLIENT.MULTI_STATEMENTS,
        connect_timeout=_CONNECT_TIMEOUT_S,
        autocommit=True,
    )
    try:
        async with errors(f"cannot connect to {settings}"):
            await connection.connect()
            await run_sql(connection, _SESSION)
    except RuntimeError as error:
        # So the driver says that it lacks a package for the way in which the account proves itself.
        connection.close()
        problem = (
            f"cannot connect to {settings}: {error}; install viabtc[mysql8], or change the account:"
            f" ALTER USER ... IDENTIFIED WITH mysql_native_password BY ..."
        )
        raise StoreError(problem, retriable=True) from error
    return connection


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
            is_given = isinstance(cause, MySQLError) and cause.args[0] == _DUPLICATE
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
                    if error.args[0] not in _DATA_ERRORS:
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
        self, what: str, timeout_s: float = _ANSWER_TIMEOUT_S
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


class MysqlReader:
    """Answers queries over a number of sessions, each opened when it is needed."""

    def __init__(self, settings: MysqlSettings, sessions: int) -> None:
        self._settings = settings
        self._idle: asyncio.LifoQueue[asyncmy.Connection | None] = asyncio.LifoQueue()
        for _ in range(sessions):
            self._idle.put_nowait(None)

    async def fetch(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Rows of a query.

        Servers end sessions that are idle for hours, and all of them when they start again. A
        query that finds its session so is asked once more in a new one: reading twice does no
        harm. One that ran out of time is not, since the server may still be at it.

        Raises:
            StoreError: it cannot be answered; the next one opens a new session.
        """
        connection = await self._idle.get()
        try:
            if connection is not None:
                try:
                    return await self._ask(connection, sql, values)
                except StoreError as error:
                    if isinstance(error.__cause__, TimeoutError):
                        raise
                    connection.close()
                    connection = None
            connection = await connect(self._settings)
            return await self._ask(connection, sql, values)
        except BaseException:
            if connection is not None:
                connection.close()
            connection = None
            raise
        finally:
            self._idle.put_nowait(connection)

    async def _ask(
        self, connection: asyncmy.Connection, sql: str, values: Sequence[Any]
    ) -> list[tuple[Any, ...]]:
        async with errors(f"cannot read {self._settings}"), asyncio.timeout(_ANSWER_TIMEOUT_S):
            return await select(connection, sql, values)

    async def close(self) -> None:
        """Ends the idle sessions."""
        while not self._idle.empty():
            connection = self._idle.get_nowait()
            if connection is not None:
                connection.close()


async def apply_schema(settings: MysqlSettings, folder: str) -> list[str]:
    """Creates the database when it is missing, then runs the scripts that were not run yet.

    Statements of a script that failed half-way are repeated: each of them may be.

    Returns:
        Names of the scripts that were run.

    Raises:
        StoreError: the database cannot be used, or a newer version of viabtc made its tables.
    """
    scripts = sorted(
        files(__package__).joinpath("schema", folder).iterdir(), key=lambda script: script.name
    )
    nowhere = replace(settings, name=None)
    connection = await connect(nowhere)
    async with errors(f"cannot make the tables of {settings}"):
        try:
            name = (settings.name or "").replace("`", "``")
            await run_sql(connection, f"CREATE DATABASE IF NOT EXISTS `{name}`".encode())
            await run_sql(connection, f"USE `{name}`".encode())
            await run_sql(connection, _SCHEMA)
            done = await select(connection, "SELECT `script` FROM viabtc_schema", ())
            known = {script.name for script in scripts}
            if unknown := sorted(row[0] for row in done if row[0] not in known):
                problem = f"{settings} was made by a newer version of viabtc: {', '.join(unknown)}"
                raise StoreError(problem, retriable=False)
            wanted = [script for script in scripts if (script.name,) not in done]
            for script in wanted:
                await run_sql(connection, script.read_bytes().rstrip().rstrip(b";"))
                await execute(
                    connection,
                    "INSERT INTO viabtc_schema VALUES (%s, UTC_TIMESTAMP(6))",
                    (script.name,),
                )
        finally:
            connection.close()
    return [script.name for script in wanted]


async def run_sql(connection: asyncmy.Connection, sql: bytes) -> list[int]:
    """Runs one or more statements; rows changed by each."""
    session: Any = connection
    changed = [await session.query(sql)]
    while session._result.has_next:  # noqa: SLF001 - it has no public name
        changed.append(await session.next_result())
    return changed


async def execute(connection: asyncmy.Connection, sql: str, values: Sequence[Any]) -> None:
    async with connection.cursor() as cursor:
        await cursor.execute(sql, values)


async def select(
    connection: asyncmy.Connection, sql: str, values: Sequence[Any]
) -> list[tuple[Any, ...]]:
    async with connection.cursor() as cursor:
        await cursor.execute(sql, values)
        return list(await cursor.fetchall())


def _extend(limit: asyncio.Timeout) -> None:
    """Gives the next answer its time: a long batch on a slow server must come to its end, too."""
    limit.reschedule(asyncio.get_running_loop().time() + _ANSWER_TIMEOUT_S)


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


@contextlib.asynccontextmanager
async def errors(what: str) -> AsyncIterator[None]:
    """Failures of server, network and time as those of a store."""
    try:
        yield
    except MySQLError as error:
        code, *text = error.args
        problem = f"{what}: {code} {' '.join(map(str, text))}"
        if code in _DATA_ERRORS:
            raise DataError(problem) from error
        raise StoreError(problem, retriable=True) from error
    except (OSError, EOFError, TimeoutError) as error:
        raise StoreError(f"{what}: {str(error) or type(error).__name__}", retriable=True) from error
