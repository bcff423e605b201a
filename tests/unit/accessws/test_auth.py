"""Authentication fails closed: whatever the other side does, nobody becomes somebody else."""

import asyncio
import contextlib
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from viabtc.accessws.auth import (
    ANSWER_BYTES_MAX,
    INTERNAL_ERROR,
    INVALID_ARGUMENT,
    INVALID_TOKEN,
    SERVICE_TIMEOUT,
    Grant,
    HttpAuthenticator,
    Refused,
    TokenAuthenticator,
    Verdict,
    open_http_authenticator,
    verdict,
)
from viabtc.service.accounts import READ, Accounts
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
        (b"[" * 60_000, INTERNAL_ERROR),
        (b'{"code": 3, "message": "\xff"}', INTERNAL_ERROR),
        (b'{"code": ' + b"9" * 60_000 + b"}", INTERNAL_ERROR),
        (b'{"code": 0, "data": {"user_id": 7}, "data": null}', INTERNAL_ERROR),
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
        self.by_token: dict[str, bytes] = {}
        """Other answers, for some tokens."""
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
                    request = (await reader.readuntil(b"\r\n\r\n")).decode()
                    self.requests.append(request)
                    if not self.is_silent:
                        token = request.partition("Authorization: ")[2].partition("\r\n")[0]
                        writer.write(self.by_token.get(token, self.response))
                        await writer.drain()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@contextlib.asynccontextmanager
async def site(response: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[Site]:
    served = Site(response)
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0, ssl=tls)
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
        assert await authenticator.sign("a& b=/ü", "signature", -1) == 7
        auth, sign = (request.split("\r\n") for request in served.requests)
        assert auth[0] == "GET /auth HTTP/1.1"
        query = "v=1&access_id=a%26%20b%3D%2F%C3%BC&tonce=18446744073709551615"
        assert sign[0] == f"GET /sign?{query} HTTP/1.1"
        headers = dict(line.split(": ", 1) for line in auth[1:] if line)
        assert headers == {
            "Host": served.url.removeprefix("http://"),
            "Authorization": "to ken",
            "Accept": "*/*",
            "Accept-Language": "en_US",
            "Content-Type": "application/json",
            # Beside the original's: one connection for many, and nothing to unpack.
            "Connection": "keep-alive",
            "Accept-Encoding": "identity",
        }
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


def test_what_one_client_was_given_is_not_shown_for_another() -> None:
    async def act(authenticator: HttpAuthenticator, served: Site) -> None:
        for token in ("first", "second"):
            assert await authenticator.auth(token) == 7
        assert len(served.requests) == 2
        assert not any("cookie" in request.lower() for request in served.requests)

    play(answer(YES, more=b"Set-Cookie: session=of-the-first; Path=/\r\n"), act)


def test_a_name_in_the_address_does_not_take_the_clients_place() -> None:
    async def run() -> None:
        async with site(answer(YES)) as served:
            url = served.url.replace("http://", "http://bob:secret@")
            async with open_http_authenticator(url, url, TIMEOUT_S) as authenticator:
                assert await authenticator.auth("token") == 7
            assert "Authorization: token" in served.requests[0]

    asyncio.run(run())


def test_a_site_must_prove_who_it_is_to_what_the_system_trusts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def run() -> Verdict:
        async with site(answer(YES), context) as served:
            url = served.url.replace("http://", "https://")
            async with open_http_authenticator(url, url, TIMEOUT_S) as authenticator:
                return await authenticator.auth("token")

    assert asyncio.run(run()) == INTERNAL_ERROR
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert asyncio.run(run()) == 7


def test_a_token_is_withdrawn_when_the_site_says_that_it_is_somebody_elses_or_nobodys() -> None:
    grants = [Grant(token, 7) for token in ("kept", "revoked", "given away", "odd", "late")]

    async def act(authenticator: HttpAuthenticator, served: Site) -> None:
        served.by_token = {
            "revoked": answer(b'{"code": 1, "message": "invalid token"}'),
            "given away": answer(b'{"code": 0, "data": {"user_id": 8}}'),
            "odd": answer(b"<html>", b"502 Bad Gateway"),
        }
        found = {grant.token for grant in await authenticator.withdrawn(grants)}
        assert found == {"revoked", "given away"}
        assert len(served.requests) == len(grants)
        # While the site is away nobody ends, and not everybody is asked for.
        served.requests.clear()
        served.response = answer(b"<html>", b"502 Bad Gateway")
        served.by_token = {}
        assert await authenticator.withdrawn(grants) == []
        assert 0 < len(served.requests) < len(grants)

    play(answer(YES), act)


def test_issued_tokens_are_withdrawn_as_soon_as_they_are_revoked_or_their_user_is_disabled(
    tmp_path: Path,
) -> None:
    accounts = Accounts(tmp_path / "users.json")
    accounts.add_user(5, "five")
    token, text = accounts.issue(5, (READ,), "eye")
    _, other = accounts.issue(5, (READ,), "ear")
    tokens = Tokens({"admin": "a", "user-5": "of the file"}, accounts)
    grants = [Grant(shown, 5) for shown in (text, other, "of the file")]

    async def run() -> None:
        authenticator = TokenAuthenticator(tokens)
        for _ in range(2):
            assert await authenticator.withdrawn(grants) == []
        accounts.revoke(token.id)
        # Twice: what was looked up before the change may be shown behind it.
        for _ in range(2):
            assert await authenticator.withdrawn(grants) == [grants[0]]
        assert await authenticator.withdrawn(grants) == []
        accounts.set_disabled(5, is_disabled=True)
        assert await authenticator.withdrawn(grants) == grants

    asyncio.run(run())


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
        refused = await authenticator.sign("5", "u", 1)
        assert isinstance(refused, Refused)
        assert "server.auth" in refused.message

    asyncio.run(run())
