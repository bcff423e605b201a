"""A directory whose syncs fail or take their time: a file system of our own through FUSE.

As a program, `python -m crash.faulty_disk MOUNT BACKING CONTROL` serves `BACKING` at `MOUNT` until
it is unmounted. Before each sync it reads the JSON object in `CONTROL`: `errno` is what the sync
fails with, `delay_s` how long it takes. With `only` it is about files whose names begin so, and
with `bytes_min` about syncs of at least so many written bytes; else about files and directories.

A sync that fails loses what was written to the file since its last sync, as disks do: a command
that was acknowledged in spite of it is gone.
"""

import contextlib
import errno
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from fuse import FUSE, FuseOSError, Operations

MOUNT_DEADLINE_S: Final = 10.0

_LOOK_S: Final = 0.01


@dataclass(frozen=True)
class Overwritten:
    """What a write replaced."""

    count: int
    """Bytes written."""
    offset: int
    data: bytes
    size: int
    """Of the file before it."""


class FaultyDisk(Operations):  # type: ignore[misc]
    """Passes everything on to a directory, except that syncs obey the control file."""

    def __init__(self, backing: str, control: Path) -> None:
        self._backing = backing
        self._control = control
        self._lock = threading.Lock()
        self._unsynced: dict[int, list[Overwritten]] = {}
        """By number of the inode; oldest first."""

    def _path(self, path: str) -> str:
        return self._backing + path

    def _obey(self, path: str, written_bytes: int = 0) -> None:
        orders = json.loads(self._control.read_text())
        is_small = written_bytes < orders.get("bytes_min", 0)
        if is_small or not Path(path).name.startswith(orders.get("only", "")):
            return
        time.sleep(orders.get("delay_s", 0))
        if "errno" in orders:
            raise FuseOSError(orders["errno"])

    def _lose(self, file: int) -> None:
        """Undoes what was written to a file since its last sync."""
        with self._lock:
            for write in reversed(self._unsynced.pop(os.fstat(file).st_ino, [])):
                os.pwrite(file, write.data, write.offset)
                os.ftruncate(file, write.size)

    def getattr(self, path: str, _file: int | None = None) -> dict[str, Any]:
        found = os.lstat(self._path(path))
        keys = ("atime", "ctime", "gid", "mode", "mtime", "nlink", "size", "uid")
        return {f"st_{key}": getattr(found, f"st_{key}") for key in keys}

    def readdir(self, path: str, _file: int) -> list[str]:
        return [".", "..", *(entry.name for entry in Path(self._path(path)).iterdir())]

    def open(self, path: str, flags: int) -> int:
        # Also what is only written is read here, before it is overwritten.
        return os.open(self._path(path), flags & ~os.O_WRONLY | os.O_RDWR)

    def create(self, path: str, mode: int) -> int:
        return os.open(self._path(path), os.O_RDWR | os.O_CREAT | os.O_TRUNC, mode)

    def read(self, _path: str, size: int, offset: int, file: int) -> bytes:
        return os.pread(file, size, offset)

    def write(self, _path: str, data: bytes, offset: int, file: int) -> int:
        with self._lock:
            found = os.fstat(file)
            before = Overwritten(
                len(data), offset, os.pread(file, len(data), offset), found.st_size
            )
            self._unsynced.setdefault(found.st_ino, []).append(before)
            return os.pwrite(file, data, offset)

    def truncate(self, path: str, length: int, _file: int | None = None) -> None:
        os.truncate(self._path(path), length)

    def rename(self, old: str, new: str) -> None:
        Path(self._path(old)).rename(self._path(new))

    def unlink(self, path: str) -> None:
        Path(self._path(path)).unlink()

    def release(self, _path: str, file: int) -> None:
        os.close(file)

    def fsync(self, path: str, _is_data_only: int, file: int) -> None:
        with self._lock:
            writes = self._unsynced.get(os.fstat(file).st_ino, ())
            written_bytes = sum(write.count for write in writes)
        try:
            self._obey(path, written_bytes)
        except FuseOSError:
            self._lose(file)
            note(self._control)
            raise
        with self._lock:
            self._unsynced.pop(os.fstat(file).st_ino, None)
        os.fsync(file)

    def fsyncdir(self, path: str, _is_data_only: int, _file: int) -> None:
        self._obey(path)


def note(control: Path) -> None:
    """Writes down when the first sync failed, by the clock that all processes share."""
    with contextlib.suppress(FileExistsError), control.with_suffix(".failed").open("x") as file:
        file.write(str(time.monotonic()))


@dataclass
class Faults:
    """What happens to syncs from now on."""

    control: Path

    def order(self, **orders: float | str) -> None:
        """Replaces the orders: `errno`, `only` and others; none for a disk that works."""
        unfinished = self.control.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(orders))
        unfinished.rename(self.control)

    def failed_at(self) -> float:
        """When the first sync was about to return its failure, as `time.monotonic` tells it."""
        return float(self.control.with_suffix(".failed").read_text())


@contextlib.contextmanager
def faulty_disk(mount: Path, backing: Path, control: Path) -> Iterator[Faults]:
    """Mounts a faulty disk for the block; skips the test where no file system can be mounted."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK) or os.geteuid() != 0:
        pytest.skip("/dev/fuse cannot be used here: no file system whose syncs fail")
    faults = Faults(control)
    faults.order()
    mount.mkdir()
    backing.mkdir()
    arguments = [str(path) for path in (mount, backing, control)]
    server = subprocess.Popen(
        [sys.executable, "-m", "crash.faulty_disk", *arguments],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    try:
        deadline = time.monotonic() + MOUNT_DEADLINE_S
        while not mount.is_mount():
            assert server.poll() is None, "the file system ended"
            assert time.monotonic() < deadline, "the file system was not mounted"
            time.sleep(_LOOK_S)
        yield faults
    finally:
        faults.order()
        subprocess.run(["umount", "--lazy", str(mount)], check=False)
        server.wait(MOUNT_DEADLINE_S)


def main() -> None:
    mount, backing, control = sys.argv[1:]
    FUSE(FaultyDisk(backing, Path(control)), mount, foreground=True, nothreads=False)


IO_ERROR: Final = errno.EIO
NO_SPACE: Final = errno.ENOSPC

if __name__ == "__main__":
    main()
