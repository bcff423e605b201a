"""Who a client is: asked of the exchange's own web site, or looked up among tokens.

Source: aw_auth.c and aw_sign.c. Departs from them where they could be abused: values that cannot
stand in a header are refused, answers are bounded, nothing waits longer than the time-out.
"""

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final, Protocol, TypeGuard
from urllib.parse import quote

import httpx
import msgspec

from viabtc.service.tokens import NO_SIGNATURES, Tokens

AUTH_CALLS_MAX: Final = 10
"""Calls of `server.auth` under way. Source: the original's threads."""

SIGN_CALLS_MAX: Final = 5

ANSWER_BYTES_MAX: Final = 64 * 1024

USER_MAX: Final = 2**32 - 1

_HEADERS: Final = {
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Accept-Language": "en_US",
    "Content-Type": "application/json",
}

_HEADER_VALUE: Final = re.compile(r"[!-~](?:[ !-~]*[!-~])?")
"""What can stand in a header without becoming another one."""

_UNSIGNED: Final = 2**64

_RECHECKS_MAX: Final = 4
"""Tokens that are asked for again at once: those who come wait for the same calls."""

_REFUSED: Final = 11
"""Code for what the site says no to."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a client stays who it was."""

    code: int
    message: str


INVALID_ARGUMENT: Final = Refused(1, "invalid argument")
INTERNAL_ERROR: Final = Refused(2, "internal error")
SERVICE_TIMEOUT: Final = Refused(5, "service timeout")
INVALID_TOKEN: Final = Refused(_REFUSED, "invalid token")

Verdict = int | Refused
"""The user, or why not."""


@dataclass(frozen=True, slots=True)
class Grant:
    """That a token stood for a user when somebody showed it."""

    token: str
    user: int


class Authenticator(Protocol):
    """Knows who stands behind a token or a signature."""

    async def auth(self, token: str) -> Verdict:
        """Of `server.auth`."""

    async def sign(self, access_id: str, authorisation: str, tonce: int) -> Verdict:
        """Of `server.sign`."""

    async def withdrawn(self, grants: Sequence[Grant]) -> list[Grant]:
        """Those that certainly count no more."""


class TokenAuthenticator:
    """Looks tokens up; takes no signatures."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._looked: tuple[object, object] = (None, None)
        """What the tokens were at the last two looks."""

    async def auth(self, token: str) -> Verdict:
        user = self._tokens.user_of(token)
        return INVALID_TOKEN if user is None else user

    async def sign(self, access_id: str, authorisation: str, tonce: int) -> Verdict:
        del access_id, authorisation, tonce
        return Refused(_REFUSED, NO_SIGNATURES)

    async def withdrawn(self, grants: Sequence[Grant]) -> list[Grant]:
        version = self._tokens.accounts.version()
        # Twice: a token that was looked up just before its end may be shown just behind it.
        is_settled = self._looked == (version, version)
        self._looked = (self._looked[1], version)
        if is_settled:
            return []
        return [grant for grant in grants if self._tokens.user_of(grant.token) != grant.user]


class HttpAuthenticator:
    """Asks two fixed addresses; `open_http_authenticator` makes one."""

    def __init__(
        self, client: httpx.AsyncClient, auth_url: str, sign_url: str, timeout_s: float
    ) -> None:
        self._client = client
        self._auth_url = httpx.URL(auth_url)
        self._sign_url = httpx.URL(sign_url)
        self._timeout_s = timeout_s
        self._auths = asyncio.Semaphore(AUTH_CALLS_MAX)
        self._signs = asyncio.Semaphore(SIGN_CALLS_MAX)

    async def auth(self, token: str) -> Verdict:
        return await self._ask(self._auths, self._auth_url, token)

    async def sign(self, access_id: str, authorisation: str, tonce: int) -> Verdict:
        # Source: the original prints the number as an unsigned one, and a blank as %20.
        query = f"access_id={quote(access_id, safe='')}&tonce={tonce % _UNSIGNED}"
        before = self._sign_url.query.decode()
        asked = self._sign_url.copy_with(query=(f"{before}&{query}" if before else query).encode())
        return await self._ask(self._signs, asked, authorisation)

    async def withdrawn(self, grants: Sequence[Grant]) -> list[Grant]:
        found: list[Grant] = []
        for start in range(0, len(grants), _RECHECKS_MAX):
            asked = grants[start : start + _RECHECKS_MAX]
            verdicts = await asyncio.gather(*(self.auth(grant.token) for grant in asked))
            answers = list(zip(asked, verdicts, strict=True))
            found += [grant for grant, verdict in answers if _withdraws(verdict, grant)]
            if not any(_is_clear(verdict) for verdict in verdicts):
                # The site is away, and would be for all the others.
                break
        return found

    async def _ask(self, calls: asyncio.Semaphore, url: httpx.URL, authorisation: str) -> Verdict:
        if not _HEADER_VALUE.fullmatch(authorisation):
            return INVALID_ARGUMENT
        try:
            # The time in the queue counts too.
            async with asyncio.timeout(self._timeout_s), calls:
                body = await self._get(url, authorisation)
        except TimeoutError:
            return SERVICE_TIMEOUT
        except (httpx.HTTPError, httpx.InvalidURL):
            return INTERNAL_ERROR
        return INTERNAL_ERROR if body is None else verdict(body)

    async def _get(self, url: httpx.URL, authorisation: str) -> bytes | None:
        """The answer's body, whatever its status; None when it is too large."""
        headers = {"Authorization": authorisation}
        body = bytearray()
        # A name in the address must not take the client's place in the header.
        as_given = httpx.Auth()
        async with self._client.stream("GET", url, headers=headers, auth=as_given) as response:
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > ANSWER_BYTES_MAX:
                    return None
        return bytes(body)


def verdict(body: bytes) -> Verdict:
    """What an answer says.

    It is `{"code": 0, "data": {"user_id": 1}}` or `{"code": 1, "message": "no"}`.
    """
    try:
        answer: Any = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        # Not JSON, not UTF-8, or deeper than a parser goes.
        return INTERNAL_ERROR
    if not isinstance(answer, dict) or not _is_integer(answer.get("code")):
        return INTERNAL_ERROR
    if answer["code"] != 0:
        message = answer.get("message")
        return Refused(_REFUSED, message) if isinstance(message, str) else INTERNAL_ERROR
    data = answer.get("data")
    user = data.get("user_id") if isinstance(data, dict) else None
    return user if _is_integer(user) and 0 < user <= USER_MAX else INTERNAL_ERROR


def _is_clear(verdict: Verdict) -> bool:
    """Whether the site said who it is, or that it is nobody."""
    return isinstance(verdict, int) or verdict.code == _REFUSED


def _withdraws(verdict: Verdict, grant: Grant) -> bool:
    return _is_clear(verdict) and verdict != grant.user


def _is_integer(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


@contextlib.asynccontextmanager
async def open_http_authenticator(
    auth_url: str, sign_url: str, timeout_s: float
) -> AsyncIterator[HttpAuthenticator]:
    """An authenticator with its connections."""
    limits = httpx.Limits(max_connections=AUTH_CALLS_MAX + SIGN_CALLS_MAX)
    # With trust_env tokens would go through whatever proxy the environment names. Cookies of one
    # client's answer must not reach the next one's question. The time-out of a call is that of all
    # of it; that of a step is longer, so that it never comes first with another outcome.
    async with httpx.AsyncClient(
        headers=_HEADERS,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        verify=ssl.create_default_context(),
        follow_redirects=False,
        timeout=2 * timeout_s,
        limits=limits,
        trust_env=False,
    ) as client:
        del client.headers["User-Agent"]
        yield HttpAuthenticator(client, auth_url, sign_url, timeout_s)
