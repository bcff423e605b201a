"""The hub's owner: takes its notices in batches, feeds topics, authenticates clients."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final

import msgspec

from viabtc import _core
from viabtc.accessws.auth import SERVICE_TIMEOUT, Authenticator, Grant, Refused, Verdict
from viabtc.accessws.feeds import Feeds
from viabtc.accessws.grants import Grants
from viabtc.accessws.pushes import encode
from viabtc.accessws.questions import Questions
from viabtc.accessws.sources import Paces

_BATCH: Final = 1_000
"""Notices taken at once; further ones wake us again."""


class Owner:
    """Serves one hub from the event loop.

    Args:
        recheck_s: Pause between two looks at the tokens of open connections; 0 looks never.
        signed_s: How long a connection may stand on one signature; 0 for ever.
    """

    def __init__(
        self,
        hub: _core.Hub,
        authenticator: Authenticator,
        paces: Paces,
        timeout_s: float,
        *,
        recheck_s: float,
        signed_s: float = 0,
        is_polling: bool,
        log: Any,
    ) -> None:
        self.questions = Questions(hub, log)
        self.feeds = Feeds(hub, self.questions, paces, is_polling=is_polling)
        self.grants = Grants(hub, authenticator, recheck_s, signed_s)
        self._hub = hub
        self._authenticator = authenticator
        self._timeout_s = timeout_s
        self._tasks: set[asyncio.Task[None]] = set()

    def serve_notices(self) -> None:
        """Does what waits."""
        for kind, *rest in self._hub.take(_BATCH):
            match kind:
                case "watched":
                    self.feeds.watched(*rest)
                case "unwatched":
                    self.feeds.unwatched(*rest)
                case "noted":
                    self.feeds.noted(*rest)
                case "answer":
                    self.questions.answered(*rest)
                case _:
                    self._serve_request(*rest)

    def _serve_request(
        self, connection: int, _address: str | None, request_id: int, method: str, params: bytes
    ) -> None:
        arguments = msgspec.json.decode(params)
        token: str | None = None
        if method == "server.sign":
            # What is signed is shown once, so nothing can be asked again.
            asked = self._authenticator.sign(*arguments)
        else:
            token = arguments[0]
            asked = self._authenticator.auth(arguments[0])
        # The stream says "auth", and all its methods succeed in the same words.
        result = "success" if method == "auth" else {"status": "success"}
        task = asyncio.create_task(self._answer(connection, request_id, asked, token, result))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(
        self,
        connection: int,
        request_id: int,
        asked: Coroutine[Any, Any, Verdict],
        token: str | None,
        result: Any,
    ) -> None:
        outcome: Verdict
        try:
            outcome = await asyncio.wait_for(asked, self._timeout_s)
        except TimeoutError:
            outcome = SERVICE_TIMEOUT
        if isinstance(outcome, Refused):
            error = {"code": outcome.code, "message": outcome.message}
            answer = {"error": error, "result": None, "id": request_id}
            self._hub.answer(connection, encode(answer))
        else:
            answer = {"error": None, "result": result, "id": request_id}
            if token is None:
                grant = self.grants.number_of_signature()
            else:
                grant = self.grants.number_of(Grant(token, outcome))
            self._hub.authenticate(connection, outcome, encode(answer), grant=grant)

    def works(self) -> list[Coroutine[Any, Any, None]]:
        """What has to run beside the notices."""
        return self.grants.works()

    async def close(self) -> None:
        """Serves no more."""
        self.feeds.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def owning(
    hub: _core.Hub,
    authenticator: Authenticator,
    paces: Paces,
    timeout_s: float,
    *,
    recheck_s: float,
    signed_s: float = 0,
    is_polling: bool,
    log: Any,
) -> AsyncIterator[Owner]:
    """Serves a hub while the block runs; the hub is stopped behind it."""
    loop = asyncio.get_running_loop()
    owner = Owner(
        hub,
        authenticator,
        paces,
        timeout_s,
        recheck_s=recheck_s,
        signed_s=signed_s,
        is_polling=is_polling,
        log=log,
    )
    loop.add_reader(hub.fileno(), owner.serve_notices)
    try:
        yield owner
    finally:
        loop.remove_reader(hub.fileno())
        await owner.close()
        await asyncio.to_thread(hub.stop)
