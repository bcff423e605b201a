"""Every request has an id: the client's or ours, in each log line about it, and in the answer."""

import re
import secrets
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, clear_contextvars

HEADER: Final = "X-Request-Id"

_SAFE: Final = re.compile(rb"[A-Za-z0-9_.-]{1,64}")
"""Ids that cannot be anything else in a log, a header or a file."""

_NAME: Final = HEADER.lower().encode()
_OWN_BYTES: Final = 8


class RequestId:
    """Takes `X-Request-Id` where it is short and safe, or makes one; answers with it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == _NAME), b"")
        is_usable = _SAFE.fullmatch(given) is not None
        request_id = given.decode() if is_usable else secrets.token_hex(_OWN_BYTES)
        clear_contextvars()
        bind_contextvars(request_id=request_id)

        async def with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        await self._app(scope, receive, with_id)
