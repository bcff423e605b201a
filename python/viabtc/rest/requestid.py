"""Every request has an id: the client's or ours, in each log line about it, and in the answer."""

import re
import secrets
import time
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from viabtc.rest.times import Times

HEADER: Final = "X-Request-Id"

SLOW_NS: Final = 1_000_000_000
"""Nanoseconds after which a request is logged."""

_SAFE: Final = re.compile(rb"[A-Za-z0-9_.-]{1,64}")
"""Ids that cannot be anything else in a log, a header or a file."""

_NAME: Final = HEADER.lower().encode()
_OWN_BYTES: Final = 8
_FAULT: Final = 500
_MS_NS: Final = 1_000_000


class RequestId:
    """Takes `X-Request-Id` where it is short and safe, or makes one; answers with it.

    How long requests take is counted in `times`. Those below `prefix` that a service failed, or
    that took longer than `SLOW_NS`, are logged: not those that ask whether a process is ready. Each
    is named by its route: addresses and bodies are the client's choice.
    """

    def __init__(self, app: ASGIApp, log: Any, prefix: str, times: Times) -> None:
        self._app = app
        self._log = log
        self._prefix = prefix
        self._times = times

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == _NAME), b"")
        is_usable = _SAFE.fullmatch(given) is not None
        request_id = given.decode() if is_usable else secrets.token_hex(_OWN_BYTES)
        bind_contextvars(request_id=request_id)
        began_ns, status = time.perf_counter_ns(), _FAULT

        async def with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (_NAME, request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, with_id)
        finally:
            took_ns = time.perf_counter_ns() - began_ns
            self._times.observe(scope, status, took_ns)
            is_told = status >= _FAULT or took_ns >= SLOW_NS
            if is_told and scope["path"].startswith(self._prefix):
                self._log.warning(
                    "a request failed" if status >= _FAULT else "a request was slow",
                    method=scope["method"],
                    route=getattr(scope.get("route"), "path", ""),
                    status=status,
                    took_ms=took_ns // _MS_NS,
                )
