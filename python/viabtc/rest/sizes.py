"""Bounds of what a request may bring, before any route reads it."""

import json
from collections import Counter
from typing import Any, Final, NoReturn

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from viabtc.rest.errors import ApiError, answer

BODY_BYTES_MAX: Final = 64 * 1024
"""Largest body; the largest that a route needs is a hundredth of it."""

HEADER_BYTES_MAX: Final = 16 * 1024
"""Of address and headers together."""

PARAMETERS_MAX: Final = 32
"""In the address."""

TEXT_BYTES_MAX: Final = 4 * 1024
"""Of a text of the body, or of a parameter."""

DEPTH_MAX: Final = 16
"""Levels of a body; the outermost object is one."""

_SHOWN_MAX: Final = 40
"""Most characters of a member's name that are shown again."""

Headers = list[tuple[bytes, bytes]]


class SizeLimits:
    """Refuses requests that are larger, deeper or more ambiguous than any route needs."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers: Headers = scope["headers"]
        try:
            _check_head(scope, headers)
            if any(name in {b"content-length", b"transfer-encoding"} for name, _ in headers):
                body = await _whole(receive, _value(headers, b"content-length"))
                if body is None:
                    return
                check_body(body)
                receive = _again(body, receive)
        except ApiError as error:
            response = answer(error)
            # What comes of the body is not read.
            response.headers["Connection"] = "close"
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _check_head(scope: Scope, headers: Headers) -> None:
    """Looks at address and headers.

    Raises:
        ApiError: they are too large, or the body is not sent as it is.
    """
    query: bytes = scope["query_string"]
    size = len(scope["raw_path"]) + len(query)
    size += sum(len(name) + len(value) for name, value in headers)
    if size > HEADER_BYTES_MAX:
        raise ApiError("head_too_large", bytes_max=HEADER_BYTES_MAX)
    parameters = query.split(b"&") if query else []
    if len(parameters) > PARAMETERS_MAX:
        reason = f"the address has {len(parameters)} parameters, and may have {PARAMETERS_MAX}"
        raise ApiError("invalid_argument", reason)
    if any(len(parameter) > TEXT_BYTES_MAX for parameter in parameters):
        raise ApiError("invalid_argument", f"a parameter has more than {TEXT_BYTES_MAX} bytes")
    coding = _value(headers, b"content-encoding")
    if coding.strip().lower() not in {b"", b"identity"}:
        reason = "body: send it as it is, without Content-Encoding"
        raise ApiError("invalid_argument", reason)


def _value(headers: Headers, name: bytes) -> bytes:
    """The value of a header; empty where there is none."""
    return next((value for other, value in headers if other == name), b"")


async def _whole(receive: Receive, announced: bytes) -> bytes | None:
    """The body of a request; None when the client has gone before its end.

    Raises:
        ApiError: it is too large, announced or not.
    """
    if announced.isdigit() and int(announced) > BODY_BYTES_MAX:
        raise ApiError("too_large", bytes_max=BODY_BYTES_MAX)
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > BODY_BYTES_MAX:
            raise ApiError("too_large", bytes_max=BODY_BYTES_MAX)
        if not message.get("more_body", False):
            return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives a body that was read to whoever reads it next."""
    is_given = False

    async def given() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return given


def check_body(body: bytes) -> None:
    """Looks at a body that is JSON; what is none is told by the route that reads it.

    Raises:
        ApiError: parsers could read it in different ways, or it is deeper or longer than any route
            needs.
    """
    try:
        document = json.loads(body, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError:
        return
    openings = body.count(b"[") + body.count(b"{")
    if openings > DEPTH_MAX or len(body) > TEXT_BYTES_MAX:
        _check_sizes(document)


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object that names each member once.

    Raises:
        ApiError: it names one twice.
    """
    found = dict(members)
    if len(found) < len(members):
        counts = Counter(name for name, _ in members)
        twice = next(name for name, count in counts.items() if count > 1)
        reason = f"body: the member {json.dumps(twice)[:_SHOWN_MAX]} stands there twice"
        raise ApiError("invalid_argument", reason)
    return found


def _refuse_constant(word: str) -> NoReturn:
    raise ApiError("invalid_argument", f"body: {word} is no number of JSON")


def _check_sizes(document: Any) -> None:
    """Looks at every value.

    Raises:
        ApiError: one stands too deep, or is too long.
    """
    level = [document]
    for _ in range(DEPTH_MAX + 1):
        texts = [value for value in level if isinstance(value, str)]
        if any(len(text.encode("utf-8", "surrogatepass")) > TEXT_BYTES_MAX for text in texts):
            reason = f"body: a text in it has more than {TEXT_BYTES_MAX} bytes"
            raise ApiError("invalid_argument", reason)
        lists = [value for value in level if isinstance(value, list)]
        objects = [value for value in level if isinstance(value, dict)]
        if not lists and not objects:
            return
        level = [item for one in lists for item in one]
        level += [part for one in objects for member in one.items() for part in member]
    raise _too_deep()


def _too_deep() -> ApiError:
    return ApiError("invalid_argument", f"body: it has more than {DEPTH_MAX} levels")
