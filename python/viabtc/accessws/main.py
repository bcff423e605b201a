"""The accessws process: websocket hub and monitor port.

`worker_num` is the number of threads that serve the hub; the port is shared, so that any number of
processes may serve it. What users are told comes from the engine's topics, and so does market data;
a message of a market also lets its depth be asked for, which happens at its interval at least.
"""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from viabtc import _core
from viabtc.accessws.auth import open_http_authenticator
from viabtc.accessws.boards import Boards
from viabtc.accessws.follow import Follower
from viabtc.accessws.owner import Owner, owning
from viabtc.accessws.settings import AccesswsSettings, read_accessws
from viabtc.accessws.users import UserPushes
from viabtc.service import run
from viabtc.service.failure import core_failures
from viabtc.service.monitor import open_monitor
from viabtc.service.zone import configured_zone

if TYPE_CHECKING:
    import asyncio


DEALS = "deals"
"""The topic that market data is made of."""


class HubPart(run.Part):
    """An open hub and its owner."""

    def __init__(
        self,
        hub: _core.Hub,
        owner: Owner,
        followers: Mapping[str, Follower] | None = None,
        tasks: "Sequence[asyncio.Task[None]]" = (),
    ) -> None:
        self.hub = hub
        self.owner = owner
        self.followers = followers or {}
        self.tasks = tasks

    def ports(self) -> Sequence[run.Port]:
        return (self.hub,)

    def is_ready(self) -> bool:
        # Without deals market data is asked for: that topic need not exist before the first deal.
        has_topics = all(
            follower.problem is None for name, follower in self.followers.items() if name != DEALS
        )
        return all(self.hub.links().values()) and has_topics and self.hub.failure is None

    def is_started(self) -> bool:
        # Links and topics come and go with other services; without them errors are answered.
        return self.hub.failure is None

    def status(self) -> dict[str, Any]:
        topics = {name: follower.problem for name, follower in self.followers.items()}
        return {"websocket": self.hub.addresses, "links": self.hub.links(), "topics": topics}

    def figures(self) -> Mapping[str, run.Figures]:
        feeds = {"feeds": len(self.owner.feeds), **self.owner.questions.figures}
        figures = {**self.hub.metrics(), **feeds}
        boards = self.owner.feeds.boards
        own = {} if boards is None else {"boards": {"live": len(boards), **boards.figures}}
        return {"hub": figures, "link_up": self.hub.links(), **own}


@contextlib.asynccontextmanager
async def _open(settings: AccesswsSettings, log: Any) -> AsyncIterator[HubPart]:
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
            owning(
                hub,
                authenticator,
                settings.paces,
                settings.timeout_s,
                recheck_s=settings.recheck_s,
                signed_s=settings.signed_s,
                is_polling=True,
                log=log,
            )
        )
        if settings.monitor is not None:
            monitor = await open_monitor(settings.monitor)
            stack.callback(monitor.close)
        zone = await configured_zone(settings.timezone)
        boards = Boards(owner.questions, zone, owner.feeds.noted, log)
        stack.push_async_callback(boards.close)
        owner.feeds.boards = boards
        followers = _follow(hub, owner, boards, settings, log)
        following = (follower.run() for follower in followers.values())
        tasks = run.start_tasks(stack, *following, *owner.works())
        yield HubPart(hub, owner, followers, tasks)


def _follow(
    hub: _core.Hub, owner: Owner, boards: Boards, settings: AccesswsSettings, log: Any
) -> dict[str, Follower]:
    users = UserPushes(hub, owner.questions, owner.feeds.noted, log)
    topics = {
        "orders": (settings.orders, users.take_orders),
        "balances": (settings.balances, users.take_balances),
    }
    followers = {
        name: Follower(topic, take, partial(users.lost, name), log)
        for name, (topic, take) in topics.items()
    }
    # With the last deal that was there before: what marketprice says must not be older.
    followers[DEALS] = Follower(settings.deals, boards.take, boards.lost, log, tail=1)
    return followers


SERVICE = run.Service("accessws", read_accessws, _open)
