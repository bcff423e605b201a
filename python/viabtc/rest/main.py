"""The rest process: the public API over RPC links to the services."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from viabtc.edges.rpc import Link, open_link
from viabtc.rest.exchange import Exchange
from viabtc.rest.settings import RestSettings, read_rest
from viabtc.service import run
from viabtc.service.tokens import open_tokens


class RestPart(run.Part):
    """The API and its links."""

    def __init__(self, links: Mapping[str, Link]) -> None:
        self._links = links

    def is_ready(self) -> bool:
        return all(link.is_connected for link in self._links.values())

    def is_started(self) -> bool:
        # Links come and go with other services; without them errors are answered.
        return True

    def status(self) -> dict[str, Any]:
        return {"links": {name: link.is_connected for name, link in self._links.items()}}

    def figures(self) -> Mapping[str, run.Figures]:
        return {"link_up": {name: link.is_connected for name, link in self._links.items()}}


@contextlib.asynccontextmanager
async def _open(settings: RestSettings, _log: Any) -> AsyncIterator[RestPart]:
    tokens = open_tokens(settings.tokens)
    async with contextlib.AsyncExitStack() as stack:
        sock = stack.enter_context(run.listen(*settings.bind, "the public API", is_shared=True))
        links = {
            name: await stack.enter_async_context(open_link(remote, settings.timeout_s))
            for name, remote in settings.remotes.items()
        }
        from viabtc.rest.app import build_app
        from viabtc.rest.pages import PageSettings

        app = build_app(Exchange(links), tokens, settings.fees, settings.pace, PageSettings())
        await stack.enter_async_context(run.serving(app, sock))
        yield RestPart(links)


SERVICE = run.Service("rest", read_rest, _open)
