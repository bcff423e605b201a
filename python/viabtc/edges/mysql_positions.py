"""Positions of our projections in a database, read and moved while no engine of ours writes."""

from typing import Final

from viabtc.edges.mysql import MysqlSettings, connect, errors, execute, run_sql, select
from viabtc.edges.mysql_projection import LEASE_S
from viabtc.edges.store import HeldError

_LEASE: Final = (
    "SELECT `holder` FROM viabtc_lease WHERE `name` = %s AND `holder` <> ''"
    " AND `seen` > UTC_TIMESTAMP(6) - INTERVAL %s SECOND FOR UPDATE"
)
"""Whoever wrote a moment ago and did not say that it has ended."""


async def read_position(settings: MysqlSettings, name: str) -> tuple[int, int]:
    """The last command of a projection and the epoch it was written under; zeros for none.

    Raises:
        StoreError: the database cannot be asked.
    """
    connection = await connect(settings)
    try:
        async with errors(f"cannot read {settings}"):
            if not await select(connection, "SHOW TABLES LIKE %s", ("viabtc\\_position",)):
                return 0, 0
            sql = "SELECT `sequence`, `epoch` FROM viabtc_position WHERE `name` = %s"
            rows = await select(connection, sql, (name,))
            return rows[0] if rows else (0, 0)
    finally:
        connection.close()


async def read_writer(settings: MysqlSettings, name: str) -> str | None:
    """Who writes a projection, as far as one can tell; None for nobody.

    Raises:
        StoreError: the database cannot be asked.
    """
    connection = await connect(settings)
    try:
        async with errors(f"cannot read {settings}"):
            rows = await select(connection, _LEASE, (name, LEASE_S))
            return str(rows[0][0]) if rows else None
    finally:
        connection.close()


async def move_position(settings: MysqlSettings, name: str, sequence: int) -> None:
    """Lets a projection go on behind a command.

    Raises:
        HeldError: an engine writes there.
        StoreError: it is as before, or nobody knows.
    """
    connection = await connect(settings)
    try:
        async with errors(f"cannot move {name} of {settings}"):
            await run_sql(connection, b"START TRANSACTION")
            for (holder,) in await select(connection, _LEASE, (name, LEASE_S)):
                raise HeldError(f"{holder} writes {name} of {settings}")
            sql = "UPDATE viabtc_position SET `sequence` = %s, `part` = 0 WHERE `name` = %s"
            await execute(connection, sql, (sequence, name))
            await run_sql(connection, b"COMMIT")
    finally:
        connection.close()
