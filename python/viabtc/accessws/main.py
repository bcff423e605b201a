"""The accessws process: websocket hub and monitor port.

`worker_num` is the number of threads that serve the hub; the port is shared, so that any number of
processes may serve it. Public topics are asked of the services at their intervals.
"""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict
from typing import Any

from viabtc import _core
from viabtc.accessws.auth import open_http_authenticator
from viabtc.accessws.owner import Owner, owning
from viabtc.accessws.settings import AccesswsSettings, read_accessws
from viabtc.service import run
from viabtc.service.failure import core_failures
from viabtc.service.monitor import open_monitor


class HubPart(run.Part):
    """An open hub and its owner."""

    def __init__(self, hub: _core.Hub, owner: Owner) -> None:
        self.hub = hub
        self.owner = owner

    def is_ready(self) -> bool:
        return all(self.hub.links().values()) and self.hub.failure is None

    def status(self) -> dict[str, Any]:
        return {"websocket": self.hub.addresses, "links": self.hub.links()}

    def figures(self) -> Mapping[str, run.Figures]:
        figures = {**self.hub.metrics(), "feeds": len(self.owner.feeds)}
        return {"hub": figures, "link_up": self.hub.links()}


@contextlib.asynccontextmanager
async def _open(settings: AccesswsSettings, _log: Any) -> AsyncIterator[HubPart]:
    async with contextlib.AsyncExitStack() as stack:
        authenticator = await stack.enter_async_context(
            open_http_authenticator(settings.auth_url, settings.sign_url, settings.timeout_s)
        )
        with core_failures("svr"):
            hub = _core.Hub(
                list(settings.bind),
                remotes={name: asdict(remote) for name, remote in settings.remotes.items()},
                timeout_s=settings.timeout_s,
                options=settings.hub,
            )
        owner = await stack.enter_async_context(
            owning(hub, authenticator, settings.paces, settings.timeout_s, is_polling=True)
        )
        if settings.monitor is not None:
            monitor = await open_monitor(settings.monitor)
            stack.callback(monitor.close)
        yield HubPart(hub, owner)


SERVICE = run.Service("accessws", read_accessws, _open)
