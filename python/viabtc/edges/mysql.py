"""MySQL and MariaDB: sessions, queries, and the tables that scripts make.

Sessions use utf8mb4 and a strict SQL mode with backslash escapes, whatever the server's defaults
are: the statements are rendered for that.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import Any, Final

import asyncmy
from asyncmy.constants import CLIENT
from asyncmy.errors import MySQLError

from viabtc.edges.store import (
    DataError,
    StoreError,
)

_CONNECT_TIMEOUT_S: Final = 5
_LOCK_TIMEOUT_S: Final = 5
"""How long a statement waits for rows that another session holds."""

_SESSION: Final = (
    b"SET SESSION sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION',"
    b" SESSION innodb_lock_wait_timeout = %d;"
    b"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED" % _LOCK_TIMEOUT_S
)

ANSWER_TIMEOUT_S: Final = 60.0
"""How long an answer may take; then the connection is given up and the position read back."""

_SCHEMA: Final = b"""CREATE TABLE IF NOT EXISTS `viabtc_schema` (
  `script` varchar(64) NOT NULL,
  `applied` datetime(6) NOT NULL,
  PRIMARY KEY (`script`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"""
"""Which scripts were run."""

DUPLICATE: Final = 1062
"""A number that is there already."""

DATA_ERRORS: Final = frozenset((1048, DUPLICATE, 1264, 1265, 1292, 1366, 1406, 3988))
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
        async with errors(f"cannot read {self._settings}"), asyncio.timeout(ANSWER_TIMEOUT_S):
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


@contextlib.asynccontextmanager
async def errors(what: str) -> AsyncIterator[None]:
    """Failures of server, network and time as those of a store."""
    try:
        yield
    except MySQLError as error:
        code, *text = error.args
        problem = f"{what}: {code} {' '.join(map(str, text))}"
        if code in DATA_ERRORS:
            raise DataError(problem) from error
        raise StoreError(problem, retriable=True) from error
    except (OSError, EOFError, TimeoutError) as error:
        raise StoreError(f"{what}: {str(error) or type(error).__name__}", retriable=True) from error
