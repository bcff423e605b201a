"""Authentication fails closed: whatever the other side does, nobody becomes somebody else."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from viabtc.accessws.auth import (
    ANSWER_BYTES_MAX,
    INTERNAL_ERROR,
    INVALID_ARGUMENT,
    INVALID_TOKEN,
    SERVICE_TIMEOUT,
    HttpAuthenticator,
    Refused,
    TokenAuthenticator,
    Verdict,
    open_http_authenticator,
    verdict,
)
from viabtc.service.accounts import Accounts
from viabtc.service.tokens import Tokens

TIMEOUT_S = 5.0

YES = b'{"code": 0, "message": null, "data": {"user_id": 7}}'


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (YES, 7),
        (b'{"code": 0, "data": {"user_id": 4294967295}}', 4294967295),
        (b'{"code": 3, "message": "no such token"}', Refused(11, "no such token")),
        (b'{"code": 3, "message": null}', INTERNAL_ERROR),
        (b'{"code": 0, "data": {"user_id": 0}}', INTERNAL_ERROR),
        (b'{"code": 0, "data": {"user_id": -1}}', INTERNAL_ERROR),
        (b'{"code": 0, "data": {"user_id": 4294967296}}', INTERNAL_ERROR),
        (b'{"code": 0, "data": {"user_id": true}}', INTERNAL_ERROR),
        (b'{"code": 0, "data": {"user_id": "7"}}', INTERNAL_ERROR),
        (b'{"code": 0, "data": [7]}', INTERNAL_ERROR),
        (b'{"code": false, "data": {"user_id": 7}}', INTERNAL_ERROR),
        (b'{"data": {"user_id": 7}}', INTERNAL_ERROR),
        (b"[]", INTERNAL_ERROR),
        (b"<html>", INTERNAL_ERROR),
        (b"", INTERNAL_ERROR),
    ],
)
def test_only_a_clear_yes_is_a_user(body: bytes, expected: Verdict) -> None:
    assert verdict(body) == expected


def answer(body: bytes, status: bytes = b"200 OK", more: bytes = b"") -> bytes:
    head = b"HTTP/1.1 %b\r\nContent-Length: %d\r\n%b\r\n"
    return head % (status, len(body), more) + body


class Site:
    """The other side: answers every request with the same bytes and keeps what it was asked."""

    def __init__(self, response: bytes) -> None:
        self.response = response
        self.requests: list[str] = []
        self.url = ""
        self.is_silent = False
        self.tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                while True:
                    self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
                    if not self.is_silent:
                        writer.write(self.response)
                        await writer.drain()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@contextlib.asynccontextmanager
async def site(response: bytes) -> AsyncIterator[Site]:
    served = Site(response)
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    served.url = f"http://{host}:{port}"
    try:
        yield served
    finally:
        server.close()
        # The other side has closed its connections, so each of them ends.
        await asyncio.gather(*served.tasks)


Act = Callable[[HttpAuthenticator, Site], Awaitable[None]]


def play(response: bytes, act: Act, timeout_s: float = TIMEOUT_S) -> None:
    async def run() -> None:
        async with (
            site(response) as served,
            open_http_authenticator(
                f"{served.url}/auth", f"{served.url}/sign?v=1", timeout_s
            ) as authenticator,
        ):
            await act(authenticator, served)

    asyncio.run(run())


def test_the_request_is_the_originals() -> None:
    async def act(authenticator: HttpAuthenticator, served: Site) -> None:
        assert await authenticator.auth("to ken") == 7
        assert await authenticator.sign("a&b=/", "signature", -1) == 7
        auth, sign = (request.split("\r\n") for request in served.requests)
        assert auth[0] == "GET /auth HTTP/1.1"
        assert sign[0] == "GET /sign?v=1&access_id=a%26b%3D%2F&tonce=18446744073709551615 HTTP/1.1"
        headers = dict(line.split(": ", 1) for line in auth[1:] if line)
        assert headers["Authorization"] == "to ken"
        assert headers["Accept"] == "*/*"
        assert headers["Accept-Language"] == "en_US"
        assert headers["Content-Type"] == "application/json"
        assert "Authorization: signature" in sign

    play(answer(YES), act)


@pytest.mark.parametrize("token", ["", "a\r\nX: y", "a\nb", "a\0", " a", "a ", "ключ", "\x7f"])
def test_what_would_become_another_header_is_not_sent(token: str) -> None:
    async def act(authenticator: HttpAuthenticator, served: Site) -> None:
        assert await authenticator.auth(token) == INVALID_ARGUMENT
        assert await authenticator.sign("id", token, 1) == INVALID_ARGUMENT
        assert served.requests == []

    play(answer(YES), act)


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        # Source: the original does not look at the status.
        (answer(YES, b"500 Internal Server Error"), 7),
        (answer(b"", b"302 Found", b"Location: /elsewhere\r\n"), INTERNAL_ERROR),
        (answer(b" " * ANSWER_BYTES_MAX + YES), INTERNAL_ERROR),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + b" " * 200_000, INTERNAL_ERROR),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", INTERNAL_ERROR),
    ],
)
def test_a_hostile_site_makes_nobody_a_user(response: bytes, expected: Verdict) -> None:
    async def act(authenticator: HttpAuthenticator, served: Site) -> None:
        assert await authenticator.auth("token") == expected
        assert len(served.requests) == 1

    play(response, act)


def test_a_silent_site_is_given_up_also_for_those_who_queue() -> None:
    async def act(authenticator: HttpAuthenticator, served: Site) -> None:
        served.is_silent = True
        verdicts = await asyncio.gather(*(authenticator.auth("token") for _ in range(25)))
        assert set(verdicts) == {SERVICE_TIMEOUT}

    play(b"", act, timeout_s=0.3)


def test_nobody_answers() -> None:
    async def run() -> None:
        url = "http://127.0.0.1:1/"
        async with open_http_authenticator(url, url, TIMEOUT_S) as authenticator:
            assert await authenticator.auth("token") == INTERNAL_ERROR

    asyncio.run(run())


def test_tokens_stand_for_users_and_the_administrator_is_none(tmp_path: Path) -> None:
    async def run() -> None:
        authenticator = TokenAuthenticator(
            Tokens({"admin": "a", "user-5": "u"}, Accounts(tmp_path / "users.json"))
        )
        assert await authenticator.auth("u") == 5
        assert await authenticator.auth("a") == INVALID_TOKEN
        assert await authenticator.auth("") == INVALID_TOKEN
        assert await authenticator.sign("5", "u", 1) == INVALID_TOKEN

    asyncio.run(run())
