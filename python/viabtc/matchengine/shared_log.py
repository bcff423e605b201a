"""The durability `operlog`: MySQL has every acknowledged command, so a start asks it first.

The lease is claimed before anything is read: from then on nobody else adds to the log. A journal
that ends before the log does is continued from it, and an empty directory begins with the newest
exact state. A journal that others went on from is refused: commands in it that were never
acknowledged may differ from those that others applied since. So is a log whose entries, where they
are to be applied again, were decided by other settings than the file's: the outcome would differ.
"""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from viabtc import _core
from viabtc.edges.mysql import MysqlReader
from viabtc.edges.mysql_projection import LEASE_S, MysqlProjection, operlog
from viabtc.edges.store import HeldError, Holder, Position, StoreError
from viabtc.matchengine.databases import OPERLOG
from viabtc.matchengine.log import KeptSettings, LogReader
from viabtc.matchengine.settings import Databases, EngineSettings
from viabtc.matchengine.succession import REMEDY
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
    _config: str
    """Assets and markets of the file."""
    _reader: LogReader
    _log: Any

    async def continue_engine(self, engine: _core.Engine) -> None:
        """Applies what the log has and the journal lacks, before any port is open.

        Raises:
            StartError: the log does not continue the journal.
            StartFailure: the log cannot be read, lacks commands that were acknowledged, or has
                entries that no engine of ours wrote.
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
                if sequence + len(rows) > self.position.sequence:
                    # Ours move the position in the transaction that writes them.
                    raise StartFailure(
                        f"the operation log goes on behind command {self.position.sequence}, the"
                        " last one that an engine of ours wrote: an original went on from there",
                        REMEDY,
                    )
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
        with _start_failures():
            await self.store.keep_settings(sequence, engine.recovery["epoch"], self._config)
        self.store.epoch = engine.recovery["epoch"]


@contextlib.asynccontextmanager
async def open_shared_log(
    databases: Databases, engine: EngineSettings, log: Any, holder: Holder, *, take_over: bool
) -> AsyncIterator[SharedLog]:
    """Claims the log, and makes an empty directory begin where the newest slice is.

    Raises:
        StartFailure: the database cannot be used, another engine lives, others went on from this
            journal, or other settings led to what is to be applied again.
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
            found = await asyncio.to_thread(_inspect, engine.data)
            state = None
            if found["ok"] and not found["segments"]:
                state = await reader.newest_state()
                before = 0 if state is None else state[0]
            else:
                # A damaged journal is told of by the start itself.
                before = found["sequence"] if found["ok"] else position.sequence
            if found["ok"] and found["segments"] and found["epoch"] < last_epoch:
                raise StartFailure(
                    f"the journal in {engine.data} is of epoch {found['epoch']}, and an engine of"
                    f" epoch {last_epoch} went on from {databases.log}",
                    "move the directory aside: an empty one begins from the database",
                )
            if before < position.sequence:
                kept = await reader.settings(position.sequence)
                # With the durability `local` nobody keeps them: then nothing is known.
                if kept and kept[-1].epoch == last_epoch:
                    _check_settings(kept, before, engine.config)
            if state is not None:
                await _begin(state, engine.data, log)
        assert store.epoch is not None  # noqa: S101 - it was claimed
        yield SharedLog(store, position, store.epoch, engine.config, reader, log)


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


def _check_settings(kept: Sequence[KeptSettings], before: int, config: str) -> None:
    """Compares the file with the settings that the commands behind `before` were decided by.

    Raises:
        StartFailure: they differ, and so would what is applied again.
    """
    first = max((index for index, row in enumerate(kept) if row.sequence <= before), default=0)
    for row in kept[first:]:
        if differing := _differences(json.loads(row.text), json.loads(config)):
            raise StartFailure(
                f"the operation log behind command {max(row.sequence, before)} was written with"
                f" other settings: {'; '.join(differing)}",
                "start with those, which viabtc_settings of the log database keeps, wait for the"
                " first slice, and edit the file then; nothing was begun here",
            )


def _differences(theirs: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    """What the file says otherwise, in words."""
    found = []
    for kind in ("assets", "markets"):
        here = {entry["name"]: entry for entry in ours[kind]}
        there = {entry["name"]: entry for entry in theirs[kind]}
        for name in {**there, **here}:
            if name not in here or name not in there:
                found.append(f"{kind} had {'no ' if name in here else ''}{name}")
                continue
            found += [
                f"{key} of {name} was {_shown(there[name], key)} and is {_shown(here[name], key)}"
                for key in {**there[name], **here[name]}
                if there[name].get(key) != here[name].get(key)
            ]
    days = "update_window_days"
    if theirs.get(days) != ours.get(days):
        found.append(f"{days} was {_shown(theirs, days)} and is {_shown(ours, days)}")
    return found


def _shown(entry: dict[str, Any], key: str) -> str:
    return json.dumps(entry[key]) if key in entry else "not given"


async def _begin(state: tuple[int, str, bytes], data: Path, log: Any) -> None:
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
