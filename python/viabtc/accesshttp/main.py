"""The accesshttp process: front door and monitor port.

`worker_num` is the number of threads that serve the door; the port is shared, so that any number of
processes may serve it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from viabtc import _core
from viabtc.accesshttp.settings import AccesshttpSettings, read_accesshttp
from viabtc.service import run
from viabtc.service.failure import core_failures
from viabtc.service.monitor import open_monitor


class DoorPart(run.Part):
    """An open front door."""

    def __init__(self, door: _core.FrontDoor) -> None:
        self.door = door

    def is_ready(self) -> bool:
        return all(self.door.links().values())

    def is_started(self) -> bool:
        # Links come and go with other services; without them errors are answered.
        return True

    def ports(self) -> Sequence[run.Port]:
        return (self.door,)

    def status(self) -> dict[str, Any]:
        return {"http": self.door.addresses, "links": self.door.links()}

    def figures(self) -> Mapping[str, run.Figures]:
        return {"door": self.door.metrics(), "link_up": self.door.links()}


def open_door(settings: AccesshttpSettings) -> _core.FrontDoor:
    """Opens the port.

    Raises:
        StartFailure: it cannot be opened.
    """
    with core_failures("svr"):
        return _core.FrontDoor(
            list(settings.bind),
            remotes={name: asdict(remote) for name, remote in settings.remotes.items()},
            max_pkg_size=settings.max_pkg_size,
            buf_limit=settings.buf_limit,
            keep_alive_s=settings.keep_alive_s,
            timeout_s=settings.timeout_s,
            threads=settings.threads,
            shared=True,
        )


@contextlib.asynccontextmanager
async def _open(settings: AccesshttpSettings, _log: Any) -> AsyncIterator[DoorPart]:
    async with contextlib.AsyncExitStack() as stack:
        door = open_door(settings)
        stack.push_async_callback(asyncio.to_thread, door.stop)
        if settings.monitor is not None:
            monitor = await open_monitor(settings.monitor)
            stack.callback(monitor.close)
        yield DoorPart(door)


SERVICE = run.Service("accesshttp", read_accesshttp, _open)
