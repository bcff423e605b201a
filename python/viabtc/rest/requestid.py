"""Every request has an id: the client's or ours, in each log line about it, and in the answer."""

import hashlib
import re
import secrets
import time
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from viabtc.edges.rpc import REQUEST
from viabtc.rest.times import Times
from viabtc.service.logs import is_written

HEADER: Final = "X-Request-Id"

SLOW_NS: Final = 1_000_000_000
"""Nanoseconds after which a request is logged."""

_SAFE: Final = re.compile(rb"[A-Za-z0-9_.-]{1,64}")
"""Ids that cannot be anything else in a log, a header or a file."""

_NUMBER: Final = re.compile("[0-9a-f]{16}")
"""How ids of ours look, and how services log the number."""

_NAME: Final = HEADER.lower().encode()
_OWN_BYTES: Final = 8
_FAULT: Final = 500
_MS_NS: Final = 1_000_000


def number_of(request_id: str) -> int:
    """The number of a request in the frames of its calls: 16 hexadecimal digits are one already."""
    if _NUMBER.fullmatch(request_id):
        return int(request_id, 16)
    return int.from_bytes(hashlib.blake2b(request_id.encode(), digest_size=_OWN_BYTES).digest())


class RequestId:
    """Takes `X-Request-Id` where it is short and safe, or makes one; answers with it.

    Services log what they are asked with its number: `request_id` of their lines is that of ours,
    or, where the client's own is no such number, `rpc_id`.

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
        number = number_of(request_id)
        REQUEST.set(number)
        bind_contextvars(request_id=request_id)
        if f"{number:016x}" != request_id:
            bind_contextvars(rpc_id=f"{number:016x}")
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
            if scope["path"].startswith(self._prefix):
                self._tell(scope, status, took_ns)

    def _tell(self, scope: Scope, status: int, took_ns: int) -> None:
        if status >= _FAULT:
            write, what = self._log.warning, "a request failed"
        elif took_ns >= SLOW_NS:
            write, what = self._log.warning, "a request was slow"
        elif is_written("debug"):
            write, what = self._log.debug, "request"
        else:
            return
        write(
            what,
            method=scope["method"],
            route=getattr(scope.get("route"), "path", ""),
            status=status,
            took_ms=took_ns // _MS_NS,
        )
