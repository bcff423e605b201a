"""What the engine has to say by itself: funds that do not add up, and changes of markets."""

import asyncio
import time
from typing import Any, Final

from viabtc import _core
from viabtc.matchengine.snapshots import Snapshots

_LOOK_S: Final = 0.25
"""Pause between looks: an imbalance is told within a second of the command that made it."""


class Watch:
    """Looks at the engine until it is cancelled."""

    def __init__(self, engine: _core.Engine, snapshots: Snapshots, log: Any) -> None:
        self._engine = engine
        self._snapshots = snapshots
        self._log = log
        self._changed_at = 0
        """Sequence of the last command of our own kinds."""
        self._changed_s = 0.0
        """When it was first seen, in seconds since 1970."""

    async def run(self) -> None:
        """Tells of an imbalance once, and asks for a slice behind each change."""
        is_told = False
        while True:
            halt = self._engine.halt
            if halt is not None and not is_told:
                is_told = True
                self._log.critical(
                    "trading is halted: funds do not add up",
                    **halt,
                    right="keep a copy of the data directory, read the file, then restart:"
                    " the journal ends before the command that did it",
                )
            await self._look_for_changes()
            await asyncio.sleep(_LOOK_S)

    async def _look_for_changes(self) -> None:
        try:
            status = await asyncio.to_thread(self._engine.status)
        except _core.UnavailableError:
            return
        changed_at: int = status["changed_at"]
        if changed_at > self._changed_at:
            is_new = changed_at > self._engine.recovery["sequence"]
            self._changed_at, self._changed_s = changed_at, time.time()
            if is_new:
                # An original, and a start from MySQL alone, begin behind it.
                self._snapshots.ask()

    def way_back(self) -> str:
        """Whether an original could go on from its slices and its operation log."""
        if self._changed_at == 0 or self._snapshots.last_slice >= self._changed_s:
            return "open"
        return f"closed by command {self._changed_at}, until the next slice"
