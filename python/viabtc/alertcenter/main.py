"""The alert centre: listener, list, senders."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from viabtc.alertcenter import listener
from viabtc.alertcenter.keeper import Keeper
from viabtc.alertcenter.sender import Sender
from viabtc.alertcenter.settings import AlertcenterSettings, read_alertcenter
from viabtc.edges.redis import open_redis
from viabtc.service import run

if TYPE_CHECKING:
    import asyncio


class AlertPart(run.Part):
    """The running alert centre."""

    def __init__(
        self,
        addresses: list[str],
        counters: listener.Counters,
        keeper: Keeper,
        sender: Sender,
        tasks: "list[asyncio.Task[None]]",
    ) -> None:
        self._addresses = addresses
        self._counters = counters
        self._keeper = keeper
        self._sender = sender
        self.tasks = tasks

    def status(self) -> dict[str, Any]:
        return {"addresses": self._addresses, "spooled_bytes": self._keeper.spooled_bytes}

    def figures(self) -> Mapping[str, run.Figures]:
        sent = self._sender.counters
        return {
            "alerts": {
                "received_total": self._counters.received,
                "refused_total": self._counters.refused,
                "kept_total": self._keeper.kept,
                "dropped_total": self._keeper.dropped,
                "spooled_bytes": self._keeper.spooled_bytes,
                "messages_sent_total": sent.messages,
                "sent_total": sent.alerts,
                "silenced_total": sent.silenced,
                "send_failures_total": sent.failures,
            }
        }


@contextlib.asynccontextmanager
async def _open(settings: AlertcenterSettings, log: Any) -> AsyncIterator[AlertPart]:
    async with contextlib.AsyncExitStack() as stack:
        redis = await stack.enter_async_context(open_redis(settings.redis))
        keeper = Keeper(redis, settings.spool, log)
        cutting = await stack.enter_async_context(open_redis(settings.redis, is_once=True))
        sender = Sender(settings.sender, cutting, log)
        works = [keeper.run()]
        if settings.sender.is_any:
            works.append(sender.run())
        if settings.sender.heartbeat:
            works.append(sender.beat())
        tasks = run.start_tasks(stack, *works)
        counters = listener.Counters()
        addresses = await stack.enter_async_context(
            listener.listening(settings.bind, settings.max_pkg_size, keeper.take, counters)
        )
        yield AlertPart(addresses, counters, keeper, sender, tasks)


SERVICE = run.Service("alertcenter", read_alertcenter, _open)
