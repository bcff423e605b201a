"""Snapshots beside the running engine: a child process of low priority makes each."""

import asyncio
import contextlib
import sys
from typing import Any, Final

from viabtc import _core
from viabtc.matchengine.settings import EngineSettings

_LOOK_S: Final = 1.0
"""Pause between looks at whether a snapshot is due."""


class Snapshots:
    """Makes a snapshot when time or commands say so, or when asked."""

    def __init__(self, engine: _core.Engine, settings: EngineSettings, log: Any) -> None:
        self._engine = engine
        self._settings = settings
        self._log = log
        self._wanted = asyncio.Event()
        self.last_sequence = int(engine.recovery["snapshot_sequence"])
        self.failures = 0

    def ask(self) -> None:
        """Asks for one now."""
        self._wanted.set()

    async def run(self) -> None:
        """Makes snapshots until it is cancelled."""
        loop = asyncio.get_running_loop()
        last = loop.time()
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), _LOOK_S)
            is_asked = self._wanted.is_set()
            self._wanted.clear()
            news = self._engine.metrics()["durable_sequence"] - self.last_sequence
            is_due = (
                loop.time() - last >= self._settings.snapshot_interval_s
                or news >= self._settings.snapshot_commands
            )
            if news > 0 and (is_asked or is_due):
                last = loop.time()
                await self._make()

    async def _make(self) -> None:
        try:
            sequence = await asyncio.to_thread(self._engine.rotate)
        except _core.UnavailableError:
            return
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "viabtc", "journal", "snapshot", "--give-way"),
            str(self._settings.data),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            _, errors = await child.communicate()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
            raise
        if child.returncode == 0:
            self.last_sequence = sequence
            self._log.info("snapshot made", sequence=sequence)
        else:
            self.failures += 1
            self._log.error(
                "snapshot failed", sequence=sequence, reason=errors.decode(errors="replace")[-500:]
            )
