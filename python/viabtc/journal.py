"""`viabtc journal`: what the files of an engine hold."""

import contextlib
import json
import os
import shutil
import sqlite3
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from viabtc import _core
from viabtc.service.failure import EXIT_CONFIGURATION, StartFailure

EXIT_DAMAGED: Final = 1

_COPIES_MAX: Final = 5
"""Attempts at a whole copy of what an engine writes meanwhile."""

_COPY_ORDER: Final = ("snapshot-*.snap", "*.sqlite3", "feed-*", "*", "journal-*.seg")
"""Each may know of no command that those behind it lack: a start refuses the opposite."""

_STATE: Final = ("journal-*.seg", "snapshot-*.snap")
"""What a directory with a state has at least one of."""

_NOT_COPIED: Final = (
    "spare-*",
    "used*",
    "lock",
    "snapshot-lock",
    "*.unfinished",
    "*.obsolete",
    "*.sqlite3-*",
)
"""What the next start makes anew, and what a database's own copy already holds."""


def _must_hold_a_journal(directory: Path) -> None:
    """A folder that is no engine's is not sound because there is nothing in it.

    Raises:
        StartFailure: it holds neither a journal nor a snapshot.
    """
    if not directory.is_dir():
        problem = f"there is no directory {directory}"
    elif not any(path for pattern in _STATE for path in directory.glob(pattern)):
        problem = f"{directory} holds no journal"
    else:
        return
    raise StartFailure(problem, "name the data directory of an engine", EXIT_CONFIGURATION)


def verify(directory: Path) -> int:
    """Reads everything, replays it, audits the state; prints the result; the exit code.

    Raises:
        StartError: the files cannot be read or do not lead to a state.
        StartFailure: there is no journal.
    """
    _must_hold_a_journal(directory)
    found = _core.inspect_journal(str(directory), replay=True)
    for problem in found["problems"]:
        print(f"problem    {problem}")
    if "segments" in found:
        written = datetime.fromtimestamp(found["time_us"] / 1e6, UTC).isoformat(timespec="seconds")
        print(f"snapshot   {found['snapshot'] or 'none'}")
        print(f"segments   {found['segments']} read, {found['records']} records")
        print(f"sequence   {found['sequence']}, epoch {found['epoch']}, last record {written}")
        print(f"end        {_end(found)}")
    if found.get("digest"):
        print(f"state      audited, digest {found['digest']}")
    print("OK" if found["ok"] else "DAMAGED")
    return 0 if found["ok"] else EXIT_DAMAGED


def _end(found: dict[str, Any]) -> str:
    if "torn" in found:
        file, offset, size = found["torn"]
        return f"unfinished: {size} bytes from {offset} in {file} were never acknowledged"
    return (
        "sealed by a clean stop" if found["is_sealed"] else "open: the engine runs, or was killed"
    )


def dump(directory: Path, after: int) -> int:
    """Prints one JSON object a record behind the command `after`; the exit code.

    Raises:
        StartError: the files cannot be read.
        StartFailure: there is no journal.
    """
    _must_hold_a_journal(directory)
    found = _core.inspect_journal(str(directory), lambda row: print(json.dumps(row)), after)
    if found["after"] > after:
        first = found["after"] + 1
        print(f"begins with command {first}: snapshots hold what was before", file=sys.stderr)
    for problem in found["problems"]:
        print(problem, file=sys.stderr)
    return 0 if found["ok"] else EXIT_DAMAGED


def copy(directory: Path, target: Path) -> int:
    """Copies the files of an engine, which may run meanwhile; the exit code.

    The copy gets its name when it was read, replayed and audited, and is on the disk.

    Raises:
        StartFailure: there is no journal, the target is there already, or no copy was whole.
    """
    _must_hold_a_journal(directory)
    if target.exists():
        raise StartFailure(f"{target} is there already", "name a folder that is not")
    unfinished = target.with_name(f"{target.name}.unfinished")
    problem = ""
    for _ in range(_COPIES_MAX):
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700, parents=True)
        try:
            _copy_files(directory, unfinished)
            found = _core.inspect_journal(str(unfinished), replay=True)
        except FileNotFoundError as error:
            problem = f"{error.filename} went meanwhile"
            continue
        except _core.StartError as error:
            problem = str(error.args[0])
            continue
        if found["ok"]:
            unfinished.rename(target)
            _sync(target.parent)
            print(f"copied to {target}: every command up to {found['sequence']}, audited")
            return 0
        problem = "; ".join(found["problems"])
    shutil.rmtree(unfinished)
    raise StartFailure(
        f"none of {_COPIES_MAX} copies of {directory} was whole; the last one: {problem}",
        f"`viabtc journal verify {directory}` says whether the files themselves are; copy those of"
        " a stopped engine",
    )


def _copy_files(directory: Path, target: Path) -> None:
    """Copies every file once, in the order in which one may be older than another.

    Raises:
        FileNotFoundError: the engine removed a file meanwhile.
    """
    left = {path for pattern in _NOT_COPIED for path in directory.glob(pattern)}
    for pattern in _COPY_ORDER:
        for source in sorted(set(directory.glob(pattern)) - left):
            if not source.is_file() or (pattern == "*" and source.match(_COPY_ORDER[-1])):
                continue
            left.add(source)
            copied = target / source.name
            if source.suffix == ".sqlite3":
                _copy_database(source, copied)
            else:
                shutil.copy2(source, copied)
            _sync(copied)
    _sync(target)


def _copy_database(source: Path, target: Path) -> None:
    with (
        contextlib.closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as reader,
        contextlib.closing(sqlite3.connect(target)) as writer,
    ):
        reader.backup(writer)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def give_way() -> None:
    """Takes least priority, as far as the system lets us, and ends with the parent process."""
    with contextlib.suppress(OSError):
        _core.give_way()


def snapshot(directory: Path) -> int:
    """Makes the next snapshot from the closed segments; the exit code.

    Raises:
        StartError: the files cannot be used or do not lead to the engine's state.
        StartFailure: there is no journal.
    """
    _must_hold_a_journal(directory)
    report = _core.write_snapshot(str(directory))
    if report["bytes"]:
        size, digest = report["bytes"], report["digest"]
        print(f"snapshot of command {report['sequence']}: {size} bytes, digest {digest}")
    else:
        print(f"nothing new behind command {report['sequence']}")
    return 0


def repair(directory: Path, from_mysql: Path | None) -> int:
    """Says whether a damaged journal can be helped, and how; the exit code.

    A journal is never repaired from itself: what stands behind the damage was acknowledged, and
    cutting it off would lose it without a word.

    Raises:
        StartError: the files cannot be read.
        StartFailure: there is no journal, or there is damage and nothing to repair it from.
    """
    _must_hold_a_journal(directory)
    found = _core.inspect_journal(str(directory))
    if found["ok"]:
        print("nothing to repair: every record is as it was written")
        return 0
    for problem in found["problems"]:
        print(f"problem    {problem}")
    if from_mysql is None:
        raise StartFailure(
            "a journal is not repaired by cutting it: what stands behind the damage was "
            "acknowledged",
            "name where the commands were also written, with --from-mysql CONFIG, or restore the "
            "directory from a backup or standby",
        )
    raise StartFailure(
        "a journal is not repaired in its place: what is sound and what the log has would be mixed",
        f"move {directory} aside; with an empty one and the durability `operlog` the engine begins "
        f"from the databases of {from_mysql}",
    )
