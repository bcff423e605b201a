"""Files that nobody else may use: tokens, accounts, the audit log."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from viabtc.service.failure import EXIT_CONFIGURATION, StartFailure

MODE: Final = 0o600

_OTHERS: Final = 0o077


def check_private(path: Path, what: str, advice: str) -> None:
    """Refuses a file that others may use; one that is not there is none.

    Raises:
        StartFailure: they may, or it cannot be looked at.
    """
    try:
        is_shared = path.exists() and path.stat().st_mode & _OTHERS
    except OSError as error:
        raise StartFailure(f"cannot use {what} {path}: {error.strerror}", advice) from error
    if is_shared:
        raise StartFailure(
            f"{path} can be used by others", f"run: chmod 600 {path}", EXIT_CONFIGURATION
        )


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One writer of a file at a time, of all processes: a lock beside it, which stays."""
    lock = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, MODE)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def write_fresh(path: Path, data: bytes) -> Path:
    """Writes a synced file beside `path`, to take its place; where it is."""
    fresh = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, MODE), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return fresh


def sync_folder(folder: Path) -> None:
    """What was made, renamed or linked in it is there after a loss of power."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
