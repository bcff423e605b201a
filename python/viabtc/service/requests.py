"""Single requests in the log of the process that served them, with the ids that others log too.

Ports tell of them: of every one while the level `debug` is written, of those that a service failed
while `warn` is, and of nothing else, which costs nothing.
"""

import asyncio
from typing import Final

from viabtc import _core
from viabtc.contract.methods import METHODS
from viabtc.service.logs import Logs

_BATCH_MAX: Final = 1_000
"""Lines that are written before anything else gets its turn."""

_NAMES: Final = {method.command: method.name for method in METHODS}

_ABSENT: Final = {"call": "", "code": 0}
"""Fields with these values say nothing."""


class RequestLog:
    """Writes what the ports tell."""

    def __init__(self, written: Logs) -> None:
        self._written = written
        self._lines = _core.RequestLines()
        self._lost = self._lines.lost()
        written.on_levels(self._heed)

    async def run(self) -> None:
        """Writes until it is cancelled; then what is left."""
        news = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._lines.fileno(), news.set)
        try:
            while True:
                if self._write():
                    await asyncio.sleep(0)
                    continue
                await news.wait()
                news.clear()
                self._lines.clear()
        finally:
            loop.remove_reader(self._lines.fileno())
            self._lines.tell(requests=False, failures=False)
            while self._write():
                pass

    def _heed(self, levels: set[str]) -> None:
        self._lines.tell(requests="debug" in levels, failures="warn" in levels)

    def _write(self) -> bool:
        """Writes some lines; whether there were any."""
        log = self._written.log
        lines = self._lines.batch(_BATCH_MAX)
        for is_warning, fields in lines:
            told = {name: value for name, value in fields.items() if value != _ABSENT.get(name)}
            command = int(fields["command"])
            told["command"] = _NAMES.get(command, command)
            if is_warning:
                log.warning("a request failed", **told)
            else:
                log.debug("request", **told)
        lost = self._lines.lost()
        if lost > self._lost:
            log.warning("requests are not all told: they are too many", lines=lost - self._lost)
            self._lost = lost
        return bool(lines)
