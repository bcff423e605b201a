"""Alerts into the Redis list; into a file while Redis is away, and from there when it is back."""

import asyncio
import contextlib
import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from viabtc.edges.redis import Unreachable, reason

if TYPE_CHECKING:
    from redis.asyncio import Redis

KEY: Final = "alert:message"
"""The list: new alerts at its tail. Source: ac_server.c."""

SPOOL_BYTES_MAX: Final = 64 << 20
"""Above it alerts stay in the log only."""

WAITING_MAX: Final = 100_000
"""Alerts that may wait while Redis is asked, which takes some seconds when it hangs; those above it
stay in the log only."""

_CHUNK: Final = 1_000
"""Alerts of one command."""

_RETRY_S: Final = 1.0


class Keeper:
    """Keeps every alert that is taken: in the list once, or twice when an end came between."""

    def __init__(self, redis: "Redis", spool: Path, log: Any) -> None:
        self._redis = redis
        self._spool = spool
        self._log = log
        self._waiting: list[str] = []
        self._news = asyncio.Event()
        self._moved_bytes = 0
        """Begin of the file that is in the list."""
        self.kept = 0
        self.dropped = 0

    def take(self, alert: str) -> None:
        """Accepts an alert; it is in the log at once."""
        self._log.info("alert message", text=alert)
        if len(self._waiting) < WAITING_MAX:
            self._waiting.append(alert)
            self._news.set()
        else:
            self.dropped += 1

    @property
    def spooled_bytes(self) -> int:
        """Size of the file that waits for Redis."""
        with contextlib.suppress(OSError):
            return self._spool.stat().st_size
        return 0

    async def run(self) -> None:
        """Moves alerts into the list until it is cancelled; then what waits goes to the file."""
        try:
            while True:
                if self.spooled_bytes == 0:
                    await self._news.wait()
                self._news.clear()
                if not await self._move():
                    await asyncio.sleep(_RETRY_S)
        finally:
            # What the list may have taken already, too: twice is better than not at all.
            self._save()

    async def _move(self) -> bool:
        """Moves the file and what waits, oldest first; whether the list has all of it."""
        try:
            await self._move_file()
            while chunk := self._waiting[:_CHUNK]:
                await self._push(chunk)
                del self._waiting[: len(chunk)]
        except Unreachable as error:
            self._log.warning(
                "redis cannot be reached; alerts wait in a file", reason=reason(error)
            )
            self._save()
            return False
        return True

    async def _move_file(self) -> None:
        """Moves the file; it stands until the list has the whole of it."""
        with contextlib.suppress(FileNotFoundError):
            with self._spool.open("rb") as file:
                file.seek(self._moved_bytes)
                while lines := list(itertools.islice(file, _CHUNK)):
                    # An end in the middle of a write may have torn a line.
                    texts = [line.decode(errors="replace").rstrip("\n") for line in lines]
                    await self._push([text for text in texts if text])
                    self._moved_bytes += sum(map(len, lines))
            self._spool.unlink()
            self._moved_bytes = 0

    async def _push(self, alerts: list[str]) -> None:
        if alerts:
            await self._redis.rpush(KEY, *alerts)
            self.kept += len(alerts)

    def _save(self) -> None:
        """Adds what waits to the file, up to its bound."""
        alerts, self._waiting = self._waiting, []
        if not alerts:
            return
        room = SPOOL_BYTES_MAX - self.spooled_bytes
        # The file has a line an alert, and begins anew behind a line that was torn.
        data, saved = b"\n", 0
        for alert in alerts:
            line = " ".join(alert.splitlines()).encode() + b"\n"
            if len(data) + len(line) <= room:
                data += line
                saved += 1
        try:
            _append(self._spool, data)
        except OSError as error:
            saved = 0
            self._log.error(
                "alerts are in this log only: neither redis nor the spool takes them",
                spool=str(self._spool),
                reason=str(error),
            )
        self.dropped += len(alerts) - saved


def _append(path: Path, data: bytes) -> None:
    with path.open("ab", buffering=0) as file:
        while data:
            data = data[file.write(data) :]
        os.fsync(file.fileno())
