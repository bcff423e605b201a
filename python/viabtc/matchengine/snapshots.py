"""Snapshots and slices beside the running engine: a child process of low priority makes each."""

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from viabtc import _core
from viabtc.matchengine.settings import EngineSettings, SliceSettings
from viabtc.matchengine.slices import SlicePlace

_LOOK_S: Final = 1.0
"""Pause between looks at whether a snapshot is due."""


@dataclass(frozen=True, slots=True)
class Slicing:
    """Slices of the engine."""

    settings: SliceSettings
    place: Callable[[], SlicePlace | None]
    """Where they go; None while that is not ours to write."""


class Snapshots:
    """Makes snapshots and slices when they are due, and both when asked."""

    def __init__(self, engine: _core.Engine, settings: EngineSettings, log: Any) -> None:
        self._engine = engine
        self._settings = settings
        self._log = log
        self._wanted = asyncio.Event()
        self._slicing: Slicing | None = None
        self._interval = 0
        """Number of the interval of the last slice."""
        self._slice_after_s = 0.0
        """Time of the loop before which a failed slice is not tried again."""
        self.last_sequence = int(engine.recovery["snapshot_sequence"])
        self.failures = 0
        self.last_slice = 0
        """Time of the last slice of this run, in seconds since 1970; 0 before the first."""
        self.slice_failures = 0

    def ask(self) -> None:
        """Asks for a snapshot and a slice now."""
        self._wanted.set()

    def begin_slices(self, slicing: Slicing, *, is_one_due: bool = False) -> None:
        """Makes slices from now on; the first in the next interval, unless one is due at once."""
        self._interval = 0 if is_one_due else int(time.time()) // slicing.settings.interval_s
        self._slicing = slicing

    async def run(self) -> None:
        """Makes snapshots and slices until it is cancelled."""
        loop = asyncio.get_running_loop()
        last = loop.time()
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), _LOOK_S)
            is_asked = self._wanted.is_set()
            self._wanted.clear()
            place = self._due_slice(is_asked=is_asked)
            news = self._engine.metrics()["durable_sequence"] - self.last_sequence
            is_due = (
                loop.time() - last >= self._settings.snapshot_interval_s
                or news >= self._settings.snapshot_commands
            )
            if place is not None or (news > 0 and (is_asked or is_due)):
                last = loop.time()
                await self._make(place)

    def _due_slice(self, *, is_asked: bool) -> SlicePlace | None:
        if self._slicing is None:
            return None
        is_due = (
            int(time.time()) // self._slicing.settings.interval_s != self._interval
            and asyncio.get_running_loop().time() >= self._slice_after_s
        )
        return self._slicing.place() if is_asked or is_due else None

    async def _make(self, place: SlicePlace | None) -> None:
        # Before the last command of the snapshot can be followed by another one.
        now = int(time.time())
        try:
            sequence = await asyncio.to_thread(self._engine.rotate)
        except _core.UnavailableError:
            return
        reason = await self._run("snapshot")
        if reason is None:
            self.last_sequence = sequence
            self._log.info("snapshot made", sequence=sequence)
        else:
            self.failures += 1
            self._log.error("snapshot failed", sequence=sequence, reason=reason)
        if self._slicing is None or place is None:
            return
        settings = self._slicing.settings
        if reason is None:
            keep = ("--time", str(now), "--keep", str(settings.keep_s))
            reason = await self._run("slice", *keep, *place.arguments())
        if reason is None:
            self._interval = now // settings.interval_s
            self.last_slice = now
            self._log.info("slice made", time=now, sequence=sequence)
        else:
            self.slice_failures += 1
            self._slice_after_s = (
                asyncio.get_running_loop().time() + self._settings.snapshot_interval_s
            )
            self._log.error("slice failed", time=now, reason=reason)

    async def _run(self, command: str, *arguments: str) -> str | None:
        """Runs a child; why it failed, if it did."""
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "viabtc", "journal", command, "--give-way", *arguments),
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
        return None if child.returncode == 0 else errors.decode(errors="replace")[-500:]
