"""`viabtc journal`: what the files of an engine hold."""

import contextlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from viabtc import _core
from viabtc.service.failure import StartFailure

EXIT_DAMAGED: Final = 1


def verify(directory: Path) -> int:
    """Reads everything, replays it, audits the state; prints the result; the exit code.

    Raises:
        StartError: the files cannot be read or do not lead to a state.
    """
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
    """
    found = _core.inspect_journal(str(directory), lambda row: print(json.dumps(row)), after)
    for problem in found["problems"]:
        print(problem, file=sys.stderr)
    return 0 if found["ok"] else EXIT_DAMAGED


def give_way() -> None:
    """Takes least priority, as far as the system lets us, and ends with the parent process."""
    with contextlib.suppress(OSError):
        _core.give_way()


def snapshot(directory: Path) -> int:
    """Makes the next snapshot from the closed segments; the exit code.

    Raises:
        StartError: the files cannot be used or do not lead to the engine's state.
    """
    report = _core.write_snapshot(str(directory))
    if report["bytes"]:
        size, digest = report["bytes"], report["digest"]
        print(f"snapshot of command {report['sequence']}: {size} bytes, digest {digest}")
    else:
        print(f"nothing new behind command {report['sequence']}")
    return 0


def repair(directory: Path, from_mysql: Path | None) -> int:
    """Repairs a damaged journal from the operation log in MySQL; the exit code.

    A journal is never repaired from itself: what stands behind the damage was acknowledged, and
    cutting it off would lose it without a word.

    Raises:
        StartError: the files cannot be read.
        StartFailure: there is damage, and nothing to repair it from.
    """
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
        f"the engine of {from_mysql} keeps no operation log in MySQL, which this version cannot "
        "write",
        "restore the directory from a backup or standby; nothing was changed",
    )
