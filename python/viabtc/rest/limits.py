"""Bounds of what a request may bring, before anything reads it."""

from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from viabtc.rest.errors import TOO_LARGE, ApiError, answer

BODY_BYTES_MAX: Final = 64 * 1024
"""Largest body; the largest that a route needs is a hundredth of it."""


class BodyLimit:
    """Answers 413 to a body above `BODY_BYTES_MAX`, announced or not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > BODY_BYTES_MAX:
            response = answer(ApiError("too_large", bytes_max=BODY_BYTES_MAX))
            # What comes of the body is not read.
            response.headers["Connection"] = "close"
            await response(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > BODY_BYTES_MAX:
                raise HTTPException(TOO_LARGE)
            return message

        await self._app(scope, counted, send)
