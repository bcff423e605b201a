"""Who is asking: the user comes from the token, never from the request."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from viabtc.rest.errors import ApiError
from viabtc.service.tokens import ADMIN, Identity, Tokens

_bearer = HTTPBearer(auto_error=False, description="A token of the exchange.")


async def identity(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Identity:
    """Who the token stands for.

    Raises:
        ApiError: there is no token, or nobody has it.
    """
    tokens: Tokens = request.app.state.tokens
    found = None if credentials is None else tokens.identity_of(credentials.credentials)
    if found is None:
        raise ApiError("unauthenticated")
    return found


async def user(who: Annotated[Identity, Depends(identity)]) -> int:
    """The user that asks.

    Raises:
        ApiError: the token is the administrator's.
    """
    if who.user is None:
        raise ApiError("forbidden", "the administrator has no account; use a user's token")
    return who.user


async def admin(who: Annotated[Identity, Depends(identity)]) -> str:
    """The name of the administrator who asks; lets nobody else through.

    Raises:
        ApiError: the token is a user's.
    """
    if not who.is_admin:
        raise ApiError("forbidden", "this needs the administrator's token")
    return ADMIN


User = Annotated[int, Depends(user)]
Administrator = Annotated[str, Depends(admin)]
