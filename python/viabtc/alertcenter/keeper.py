"""Alerts into the Redis list; into a file while Redis is away, and from there when it is back."""

import asyncio
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from viabtc.edges.redis import Unreachable

if TYPE_CHECKING:
    from redis.asyncio import Redis

KEY: Final = "alert:message"
"""The list: new alerts at its tail. Source: ac_server.c."""

SPOOL_BYTES_MAX: Final = 64 << 20
"""Above it alerts stay in the log only."""

_CHUNK: Final = 1_000
"""Alerts of one command."""

_RETRY_S: Final = 1.0


class Keeper:
    """Keeps every alert that is taken."""

    def __init__(self, redis: "Redis", spool: Path, log: Any) -> None:
        self._redis = redis
        self._spool = spool
        self._log = log
        self._waiting: list[str] = []
        self._news = asyncio.Event()
        self.kept = 0
        self.dropped = 0

    def take(self, alert: str) -> None:
        """Accepts an alert; it is in the log at once."""
        self._log.info("alert message", text=alert)
        self._waiting.append(alert)
        self._news.set()

    @property
    def spooled_bytes(self) -> int:
        """Size of what waits for Redis in the file."""
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
            self._save(self._waiting)

    async def _move(self) -> bool:
        alerts, self._waiting = self._waiting, []
        old = self._load()
        done = 0
        try:
            for start in range(0, len(old) + len(alerts), _CHUNK):
                chunk = (old + alerts)[start : start + _CHUNK]
                await self._redis.rpush(KEY, *chunk)
                done += len(chunk)
        except Unreachable as error:
            self._log.warning("redis cannot be reached; alerts wait in a file", reason=str(error))
            self._rewrite((old + alerts)[done:])
            return False
        else:
            return True
        finally:
            self.kept += done
            if done == len(old) + len(alerts) and old:
                self._rewrite([])

    def _load(self) -> list[str]:
        with contextlib.suppress(FileNotFoundError):
            return self._spool.read_text(encoding="utf-8").splitlines()
        return []

    def _save(self, alerts: list[str]) -> None:
        """Adds to the file, up to its bound."""
        room = SPOOL_BYTES_MAX - self.spooled_bytes
        data = b""
        for alert in alerts:
            # The file has a line an alert.
            line = " ".join(alert.splitlines()).encode() + b"\n"
            if len(data) + len(line) > room:
                self.dropped += 1
            else:
                data += line
        if data:
            with self._spool.open("ab") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())

    def _rewrite(self, alerts: list[str]) -> None:
        self._spool.unlink(missing_ok=True)
        self._save(alerts)
