"""Bounds of what a request may bring, before anything reads it, and of how often orders come."""

import time
from dataclasses import dataclass
from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from viabtc.rest.errors import TOO_LARGE, ApiError, answer

BODY_BYTES_MAX: Final = 64 * 1024
"""Largest body; the largest that a route needs is a hundredth of it."""

USERS_MAX: Final = 65_536
"""Most users whose pace is remembered at once."""

_NS: Final = 1_000_000_000
_MS_NS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a user may place orders. Cancels are never held up."""

    orders_per_s: int = 50
    """In the long run; 0 for no bound."""
    orders_burst: int = 200
    """At once, after a pause."""


class OrderPace:
    """Holds users to a pace: each has a bucket of `orders_burst`, which fills at `orders_per_s`."""

    def __init__(self, pace: Pace, users_max: int = USERS_MAX) -> None:
        self._pace = pace
        self._users_max = users_max
        self._full_at: dict[int, int] = {}
        """When a user's bucket is full again, in monotonic nanoseconds; who asked last is last."""

    def take(self, user: int, now_ns: int | None = None) -> None:
        """Takes one order from the user's bucket.

        Raises:
            ApiError: it is empty; with the milliseconds until there is one.
        """
        if not self._pace.orders_per_s:
            return
        now = time.monotonic_ns() if now_ns is None else now_ns
        each = _NS // self._pace.orders_per_s
        full_at = max(now, self._full_at.get(user, 0)) + each
        early = full_at - now - each * self._pace.orders_burst
        if early > 0:
            raise ApiError(
                "too_many_orders",
                orders_per_s=self._pace.orders_per_s,
                retry_after_ms=-(-early // _MS_NS),
            )
        self._full_at.pop(user, None)
        self._full_at[user] = full_at
        if len(self._full_at) > self._users_max:
            # Who asked longest ago is nearest to a full bucket.
            del self._full_at[next(iter(self._full_at))]


class BodyLimit:
    """Answers 413 to a body above `BODY_BYTES_MAX`, announced or not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = scope["headers"]
        announced = next((value for name, value in headers if name == b"content-length"), b"0")
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
