"""The durability `operlog`: MySQL has every acknowledged command, so a start asks it first.

The lease is claimed before anything is read: from then on nobody else adds to the log. A journal
that ends before the log does is continued from it, and an empty directory begins with the newest
exact state. A journal that others went on from is refused: commands in it that were never
acknowledged may differ from those that others applied since.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from viabtc import _core
from viabtc.edges.mysql import LEASE_S, MysqlProjection, MysqlReader, operlog
from viabtc.edges.store import HeldError, Holder, Position, StoreError
from viabtc.matchengine.databases import OPERLOG
from viabtc.matchengine.log import LogReader
from viabtc.matchengine.settings import Databases
from viabtc.service.failure import StartFailure

_WAIT_S: Final = LEASE_S + 1
"""How long a start waits for a holder to fall silent; one that still lives is not waited for."""

_LOOK_S: Final = 0.5

_END: Final = 2**62
"""Behind every command: only the newest file of a journal is read."""


@dataclass(frozen=True, slots=True)
class SharedLog:
    """The claimed log."""

    store: MysqlProjection
    position: Position
    """How far it was when it was claimed."""
    epoch: int
    """The journal's is to be this at least."""
    _reader: LogReader
    _log: Any

    async def continue_engine(self, engine: _core.Engine) -> None:
        """Applies what the log has and the journal lacks, before any port is open.

        Raises:
            StartError: the log does not continue the journal.
            StartFailure: the log cannot be read, or lacks commands that were acknowledged.
        """
        before: int = engine.recovery["sequence"]
        sequence = before
        with _start_failures():
            own = deque(await self._reader.own_operations(before))
            async for page in self._reader.operations(engine.status()["operlog_id"]):
                rows = []
                for operation in page:
                    while own and own[0].id < operation.id:
                        rows.append(own.popleft().row())
                    rows.append(operation.row())
                sequence = await asyncio.to_thread(engine.redo, rows)
            if own:
                rest = [operation.row() for operation in own]
                sequence = await asyncio.to_thread(engine.redo, rest)
        if sequence < self.position.sequence:
            raise StartFailure(
                f"the operation log leads to command {sequence}, and {self.position.sequence} were"
                " acknowledged",
                "restore the database; nothing was lost in it by this engine",
            )
        if sequence > before:
            self._log.info("continued from the operation log", after=before, sequence=sequence)
        self.store.epoch = engine.recovery["epoch"]


@contextlib.asynccontextmanager
async def open_shared_log(
    databases: Databases, data: Path, log: Any, holder: Holder, *, take_over: bool
) -> AsyncIterator[SharedLog]:
    """Claims the log, and makes an empty directory begin where the newest slice is.

    Raises:
        StartFailure: the database cannot be used, another engine lives, or others went on from
            this journal.
    """
    store = MysqlProjection(databases.log, OPERLOG, holder, operlog, take_over=take_over)
    questions = MysqlReader(databases.log, 1)
    reader = LogReader(questions)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(reader.close)
        stack.push_async_callback(store.release)
        with _start_failures():
            position = await _claim(store, databases)
            sql = "SELECT `epoch` FROM viabtc_position WHERE `name` = %s"
            ((last_epoch,),) = await questions.fetch(sql, (OPERLOG,))
            found = await asyncio.to_thread(_inspect, data)
            if found["ok"] and not found["segments"]:
                await _begin(reader, data, log)
            elif found["ok"] and found["epoch"] < last_epoch:
                raise StartFailure(
                    f"the journal in {data} is of epoch {found['epoch']}, and an engine of epoch"
                    f" {last_epoch} went on from {databases.log}",
                    "move the directory aside: an empty one begins from the database",
                )
        assert store.epoch is not None  # noqa: S101 - it was claimed
        yield SharedLog(store, position, store.epoch, reader, log)


def _inspect(data: Path) -> dict[str, Any]:
    data.mkdir(parents=True, exist_ok=True)
    return _core.inspect_journal(str(data), None, _END)


async def _claim(store: MysqlProjection, databases: Databases) -> Position:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _WAIT_S
    while True:
        try:
            return await store.position()
        except HeldError as error:
            if loop.time() < deadline:
                await asyncio.sleep(_LOOK_S)
                continue
            raise StartFailure(
                f"another engine writes to {databases.log}: {error}",
                "stop it first; --take-over ends its writing and starts at once",
            ) from error


async def _begin(reader: LogReader, data: Path, log: Any) -> None:
    state = await reader.newest_state()
    if state is None:
        return
    sequence, digest, content = state
    installed = await asyncio.to_thread(_core.install_state, str(data), content)
    if installed != (sequence, digest):
        raise StartFailure(
            f"the slice of command {sequence} is damaged: it leads to {installed}",
            "remove its row from slice_history, so that the one before is used, and the files that"
            f" were made in {data}",
        )
    log.info("begun from a slice", sequence=sequence, digest=digest)


@contextlib.contextmanager
def _start_failures() -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        raise StartFailure(
            f"the operation log cannot be used: {error}",
            "start the database and run `viabtc schema`; with the durability `local` the engine"
            " starts without it",
        ) from error
