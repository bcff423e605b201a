"""Who wrote to the databases before: an engine of ours, an original behind it, or another one.

On the way back an original goes on where our journal ends, and numbers its entries of the operation
log behind ours. So an entry that a journal has not says that its state is not the newest any more.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from viabtc import _core
from viabtc.edges.mysql import MysqlReader, MysqlSettings
from viabtc.edges.mysql_positions import move_position, read_position, read_writer
from viabtc.edges.mysql_projection import LEASE_S
from viabtc.edges.store import StoreError
from viabtc.matchengine.databases import HISTORY, OPERLOG
from viabtc.matchengine.log import LogReader
from viabtc.matchengine.settings import Databases
from viabtc.service.failure import StartFailure

_LOOK_S: Final = 0.2
"""Pause between looks whether an engine that was stopped has fallen silent."""

_PATIENCE_S: Final = 3.0
"""How long a start waits for a database that may be away: no port is open yet."""

REMEDY: Final = (
    "move the data directory aside, and let an empty one begin from the database:"
    " `viabtc migrate --from FILE`"
)


async def refuse_unknown_entries(databases: Databases, engine: _core.Engine, log: Any) -> None:
    """Compares the end of the operation log with the engine's state; a database may be away.

    Raises:
        StartFailure: the log has entries that the journal has not.
    """
    ours: int = engine.status()["operlog_id"]
    reader = LogReader(MysqlReader(databases.log, 1))
    try:
        async with asyncio.timeout(_PATIENCE_S):
            last = await reader.last_id()
    except (StoreError, TimeoutError) as error:
        # Whoever wrote there meanwhile is noticed when our first entry is.
        log.warning(
            "the end of the operation log is not known", reason=str(error) or "no answer in time"
        )
        return
    finally:
        await reader.close()
    if last > ours:
        raise StartFailure(
            f"the operation log in {databases.log} ends with entry {last}, and the journal leads to"
            f" entry {ours}: an original went on from there, or the journal lost its end",
            REMEDY,
        )


@dataclass(frozen=True, slots=True)
class Earlier:
    """Where an engine of ours ended before an original went on."""

    sequence: int
    """Its last command; 0 when there was none."""
    epoch: int
    lacking: Sequence[tuple[str, int]]
    """Projections that were behind it, and how many commands they lack."""


async def find_earlier(databases: Databases) -> Earlier:
    """What our positions in both databases say, once nobody moves them.

    Raises:
        StoreError: they cannot be read.
        StartFailure: an engine of ours writes there.
    """
    if any(sequence for _, sequence, _ in await _positions(databases)):
        await _until_silent(databases)
    found = await _positions(databases)
    sequence = max(sequence for _, sequence, _ in found)
    lacking = [(name, sequence - at) for name, at, _ in found if at < sequence]
    return Earlier(sequence, max(epoch for _, _, epoch in found), lacking)


async def _positions(databases: Databases) -> list[tuple[str, int, int]]:
    """Name, last command and epoch of each projection."""
    return [(name, *await read_position(place, name)) for name, place in _places(databases)]


async def _until_silent(databases: Databases) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + LEASE_S + 1
    for name, place in _places(databases):
        while writer := await read_writer(place, name):
            if loop.time() > deadline:
                raise StartFailure(
                    f"the engine {writer} writes {name} of {place}",
                    "stop it first; what it holds is newer than what would be taken over",
                )
            await asyncio.sleep(_LOOK_S)


async def go_on_behind(databases: Databases, earlier: Earlier) -> None:
    """Lets projections of a journal that begins behind an earlier engine go on from there.

    Raises:
        StoreError: they are as before, or an engine of ours writes there.
    """
    for name, place in _places(databases):
        await move_position(place, name, earlier.sequence)


def _places(databases: Databases) -> tuple[tuple[str, MysqlSettings], ...]:
    return (OPERLOG, databases.log), (HISTORY, databases.history)
