"""The rest process: the public API over RPC links to the services."""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from viabtc.edges.rpc import Link, open_link
from viabtc.rest.settings import RestSettings, read_rest
from viabtc.service import run
from viabtc.service.auditlog import AuditLog, open_audit_log
from viabtc.service.tokens import open_tokens

if TYPE_CHECKING:
    from prometheus_client import Histogram
    from prometheus_client.registry import Collector


class RestPart(run.Part):
    """The API and its links."""

    def __init__(self, links: Mapping[str, Link], audit: AuditLog, times: "Histogram") -> None:
        self._links = links
        self._audit = audit
        self._times = times

    def is_ready(self) -> bool:
        return all(link.is_connected for link in self._links.values())

    def is_started(self) -> bool:
        # Links come and go with other services; without them errors are answered.
        return True

    def status(self) -> dict[str, Any]:
        return {
            "links": {name: link.is_connected for name, link in self._links.items()},
            "audit_log": self._audit.state(),
        }

    def figures(self) -> Mapping[str, run.Figures]:
        return {"link_up": {name: link.is_connected for name, link in self._links.items()}}

    def collectors(self) -> Sequence["Collector"]:
        return (self._times,)


@contextlib.asynccontextmanager
async def _open(settings: RestSettings, log: Any) -> AsyncIterator[RestPart]:
    tokens = open_tokens(settings.tokens, settings.users)
    audit = open_audit_log(settings.common.audit_log, log)
    async with contextlib.AsyncExitStack() as stack:
        sock = stack.enter_context(run.listen(*settings.bind, "the public API", is_shared=True))
        links = {
            name: await stack.enter_async_context(open_link(remote, settings.timeout_s))
            for name, remote in settings.remotes.items()
        }
        from viabtc.rest.app import build_app
        from viabtc.rest.context import Desk
        from viabtc.rest.exchange import Exchange
        from viabtc.rest.limits import OrderPace
        from viabtc.rest.pages import PageSettings

        desk = Desk(Exchange(links), settings.fees, OrderPace(settings.pace))
        app = build_app(desk, tokens, audit, PageSettings())
        await stack.enter_async_context(run.serving(app, sock))
        yield RestPart(links, audit, app.state.times.histogram)


SERVICE = run.Service("rest", read_rest, _open)
