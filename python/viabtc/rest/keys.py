"""Who is asking: the user comes from the token, never from the request."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from viabtc.rest.errors import ApiError
from viabtc.service.tokens import Identity, Tokens

_bearer = HTTPBearer(auto_error=False, description="A token of the exchange.")


# For the documents: what is read is the header, in one place.
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


def caller_of(request: Request) -> Identity | None:
    """Who the token of a request stands for; None without one that somebody has."""
    tokens: Tokens = request.app.state.tokens
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return tokens.identity_of(token.strip()) if scheme.lower() == "bearer" else None


def _identity(request: Request) -> Identity:
    """Who the token stands for.

    Raises:
        ApiError: there is no token, or nobody has it.
    """
    found = caller_of(request)
    if found is None:
        is_sent = "Authorization" in request.headers
        reason = "nobody has this token: it was mistyped, or is revoked" if is_sent else None
        raise ApiError("unauthenticated", reason)
    return found


def trader_of(request: Request) -> int:
    """The user that asks, with a token that may trade.

    Raises:
        ApiError: the token is the administrator's, or only for reading, or there is none.
    """
    who = _identity(request)
    if who.user is None:
        raise ApiError("forbidden", "the administrator has no account; use a user's token")
    if not who.may_trade:
        raise ApiError("forbidden", "the token is for reading; this needs the scope trade")
    return who.user


# Each level of dependencies costs a request of 110 us another 8: so these call what they share.
async def user(request: Request, _: Credentials) -> int:
    """The user that asks.

    Raises:
        ApiError: the token is the administrator's.
    """
    who = _identity(request)
    if who.user is None:
        raise ApiError("forbidden", "the administrator has no account; use a user's token")
    return who.user


async def trader(request: Request, _: Credentials) -> int:
    """As `trader_of`."""
    return trader_of(request)


async def admin(request: Request, _: Credentials) -> str:
    """The name of the administrator who asks; lets nobody else through.

    Raises:
        ApiError: the token is a user's.
    """
    who = _identity(request)
    if not who.is_admin:
        raise ApiError("forbidden", "this needs the administrator's token")
    return who.actor


User = Annotated[int, Depends(user)]
Trader = Annotated[int, Depends(trader)]
Administrator = Annotated[str, Depends(admin)]
