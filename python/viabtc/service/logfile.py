"""The log file: named, shifted and removed as the original does it. Source: ut_log.c."""

import contextlib
import os
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from viabtc.protocol.addresses import Place, read_place
from viabtc.service.failure import StartFailure

MODE: Final = 0o640
"""Of a log file: the original's are readable by everybody."""

_LOOK_S: Final = 0.5
"""Pause between looks at whether the file is still the one that its name says."""

_DATAGRAM_BYTES_MAX: Final = 60_000

_PERIODS: Final = {
    "min": ("%Y%m%d%H%M", timedelta(minutes=1)),
    "hour": ("%Y%m%d%H", timedelta(hours=1)),
    "day": ("%Y%m%d", timedelta(days=1)),
}
"""Format of the time in the name, length of the period."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a file ends, and which ones stay."""

    shift: str = "size"
    """`size`, `min`, `hour` or `day`."""
    bytes_max: int = 100_000_000
    """A file that has reached it is shifted."""
    count: int = 100
    """Files of a name, with the one that is written; 0 for no bound."""
    keep: int = 7
    """Periods after which files named by their time are removed; 0 for never."""


class LogFile:
    """Takes lines from any thread; a disk that is full costs lines, and never the service."""

    def __init__(
        self, path: str, rotation: Rotation, now: Callable[[], datetime] = datetime.now
    ) -> None:
        self.lost = 0
        """Lines that could not be written."""
        self._path = path
        self._rotation = rotation
        self._now = now
        self._lock = threading.Lock()
        self._name = Path()
        self._fd: int | None = None
        self._size = 0
        self._looked_s = 0.0
        self._opened: Callable[[int], object] | None = None
        self._open(self._name_now())
        # What a stop over the moment of removal left behind.
        self._remove_old()

    def write(self, text: str) -> None:
        """Appends a text, which is whole lines."""
        data = text.encode(errors="replace")
        with self._lock:
            try:
                self._follow()
                if self._fd is None:
                    self._open(self._name)
                if self._fd is None or os.write(self._fd, data) < len(data):
                    self.lost += 1
                self._size += len(data)
            except OSError:
                self.lost += 1

    def on_open(self, opened: Callable[[int], object]) -> None:
        """Calls `opened` with the descriptor of the file, now and of each that follows it."""
        with self._lock:
            self._opened = opened
            if self._fd is not None:
                opened(self._fd)

    def flush(self) -> None:
        """Nothing waits: a line is with the system when it was written."""

    def _follow(self) -> None:
        """Goes to the file of this period, behind a file that is full or was moved away."""
        name = self._name_now()
        if name != self._name:
            self._shut()
            self._open(name)
            self._remove_old()
        elif self._size >= self._rotation.bytes_max > 0:
            self._shut()
            # Another process that writes there, such as the watch, may have shifted it since.
            if self._is_full(name):
                self._shift_names()
            self._open(name)
        elif time.monotonic() - self._looked_s >= _LOOK_S:
            self._looked_s = time.monotonic()
            with contextlib.suppress(FileNotFoundError):
                if self._fd is not None and os.path.samestat(os.fstat(self._fd), name.stat()):
                    return
            self._shut()
            self._open(name)

    def _name_now(self) -> Path:
        if self._rotation.shift == "size":
            return Path(f"{self._path}.log")
        form, _ = _PERIODS[self._rotation.shift]
        return Path(f"{self._path}.{self._now().strftime(form)}.log")

    def _open(self, name: Path) -> None:
        self._name = name
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._fd = os.open(name, flags, MODE)
        self._size = os.fstat(self._fd).st_size
        if self._opened is not None:
            self._opened(self._fd)

    def _shut(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _is_full(self, name: Path) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return name.stat().st_size >= self._rotation.bytes_max
        return False

    def _shift_names(self) -> None:
        """`x.log` becomes `x.log.1`, which becomes `x.log.2`; the last one goes."""
        count = self._rotation.count
        if count == 1:
            self._name.unlink(missing_ok=True)
            return
        last = 1
        while Path(f"{self._name}.{last}").exists():
            last += 1
        if count:
            for number in range(count - 1, last):
                Path(f"{self._name}.{number}").unlink(missing_ok=True)
            last = min(last, count - 1)
        for number in range(last, 0, -1):
            older = Path(f"{self._name}.{number - 1}") if number > 1 else self._name
            with contextlib.suppress(FileNotFoundError):
                older.rename(f"{self._name}.{number}")

    def _remove_old(self) -> None:
        """Removes files older than `keep` periods, also those that a stop left behind."""
        if self._rotation.keep == 0 or self._rotation.shift == "size":
            return
        form, period = _PERIODS[self._rotation.shift]
        oldest = (self._now() - self._rotation.keep * period).strftime(form)
        base = Path(self._path)
        pattern = re.compile(re.escape(base.name) + r"\.(\d+)\.log(\.\d+)?")
        # What may not be removed is no reason not to write.
        with contextlib.suppress(OSError):
            for file in base.parent.iterdir():
                found = pattern.fullmatch(file.name)
                if found and len(found[1]) == len(oldest) and found[1] <= oldest:
                    file.unlink(missing_ok=True)


class LogSocket:
    """Sends lines to a place, as datagrams."""

    def __init__(self, place: Place) -> None:
        self.lost = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)  # noqa: FBT003
        self._place = place

    def write(self, text: str) -> None:
        """Sends lines; whoever does not listen does not hear."""
        try:
            self._socket.sendto(text.encode(errors="replace")[:_DATAGRAM_BYTES_MAX], self._place)
        except OSError:
            self.lost += 1

    def flush(self) -> None:
        """Nothing waits."""


def open_log(path: str, rotation: Rotation) -> LogFile | LogSocket:
    """The file, or the place, that `log.path` names.

    Raises:
        StartFailure: it cannot be written.
    """
    place = read_place(path)
    if place is not None:
        return LogSocket(place)
    try:
        return LogFile(path, rotation)
    except OSError as error:
        raise StartFailure(
            f"cannot write the log {path}.log: {error.strerror}",
            "make its directory, or change log.path",
        ) from error
