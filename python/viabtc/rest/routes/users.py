"""Users and their tokens: the administrator's. A token is shown once, when it is made."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Final, TypeVar

from fastapi import APIRouter, Depends, Path, Query, Request

from viabtc.rest.audited import AuditedRoute
from viabtc.rest.context import PREFIX, Cursor, Limit, read_cursor, write_cursor
from viabtc.rest.errors import ApiError, documented
from viabtc.rest.keys import admin
from viabtc.rest.models import (
    Done,
    IssuedToken,
    NewToken,
    NewUser,
    Page,
    Reasoned,
    TokenInfo,
    UserAccount,
)
from viabtc.service.accounts import ADMINISTRATION, Account, AccountError, Accounts, Token

router = APIRouter(
    prefix=f"{PREFIX}/admin",
    tags=["administration"],
    dependencies=[Depends(admin)],
    route_class=AuditedRoute,
)

_ADMIN: Final = ("unauthenticated", "forbidden", "not_found")

UserId = Annotated[int, Path(ge=1, le=2**32 - 1, examples=[1001])]
TokenId = Annotated[
    str,
    Path(
        max_length=32,
        description="The part of a token before the dot.",
        examples=["0f3b7c1d9e2a4f60"],
    ),
]

T = TypeVar("T")


async def _accounts(request: Request) -> Accounts:
    accounts: Accounts = request.app.state.tokens.accounts
    return accounts


Kept = Annotated[Accounts, Depends(_accounts)]


async def _do(work: Callable[..., T], *params: object, **named: object) -> T:
    """Does what waits for the disk.

    Raises:
        ApiError: it cannot be.
    """
    try:
        return await asyncio.to_thread(work, *params, **named)
    except AccountError as error:
        raise ApiError(error.code, error.reason) from error


def _shown(account: Account) -> UserAccount:
    return UserAccount(
        id=account.id,
        name=account.name,
        status="disabled" if account.is_disabled else "active",
        created_at=account.created_at,
    )


def _told(token: Token) -> TokenInfo:
    return TokenInfo(
        id=token.id,
        user=token.user,
        scopes=list(token.scopes),
        label=token.label,
        created_at=token.created_at,
    )


@router.post(
    "/users",
    summary="Make a user, who may then have tokens",
    status_code=201,
    responses=documented(*_ADMIN, "name_taken", "not_possible"),
)
async def add_user(accounts: Kept, body: NewUser) -> UserAccount:
    return _shown(await _do(accounts.add_user, body.id, body.name))


@router.get("/users", summary="Users, the highest id first", responses=documented(*_ADMIN))
async def users(accounts: Kept, cursor: Cursor = None, limit: Limit = 50) -> Page[UserAccount]:
    _, last = read_cursor(cursor)
    rows = [row for row in await _do(accounts.users) if last is None or row.id < last]
    following = write_cursor(0, rows[limit - 1].id) if len(rows) > limit else None
    return Page[UserAccount](items=[_shown(row) for row in rows[:limit]], next=following)


@router.post(
    "/users/{user_id}/disable",
    summary="Refuse every token of a user",
    responses=documented(*_ADMIN, "unchanged"),
)
async def disable(accounts: Kept, user_id: UserId, _body: Reasoned) -> UserAccount:
    return _shown(await _do(accounts.set_disabled, user_id, is_disabled=True))


@router.post(
    "/users/{user_id}/enable",
    summary="Take the tokens of a disabled user again",
    responses=documented(*_ADMIN, "unchanged"),
)
async def enable(accounts: Kept, user_id: UserId, _body: Reasoned) -> UserAccount:
    return _shown(await _do(accounts.set_disabled, user_id, is_disabled=False))


@router.post(
    "/tokens",
    summary="Issue a token to a user or an administrator",
    description="The token is in this answer and nowhere else.",
    status_code=201,
    responses=documented(*_ADMIN, "not_possible"),
)
async def issue(accounts: Kept, body: NewToken) -> IssuedToken:
    if (body.user is None) is not (body.scopes == [ADMINISTRATION]):
        reason = "scopes: admin alone and without a user, or read and trade of a user"
        raise ApiError("invalid_argument", reason)
    if len(set(body.scopes)) < len(body.scopes) or (body.user and ADMINISTRATION in body.scopes):
        raise ApiError("invalid_argument", "scopes: read and trade of a user, each once")
    token, text = await _do(accounts.issue, body.user, tuple(body.scopes), body.label)
    return IssuedToken(**_told(token).model_dump(), token=text)


@router.get(
    "/tokens",
    summary="Live tokens, the newest first",
    description="At most 8 of each user, and 8 of administrators, are live.",
    responses=documented(*_ADMIN),
)
async def tokens(
    accounts: Kept,
    user: Annotated[
        int | None, Query(ge=1, le=2**32 - 1, description="Of a user; without it administrators'.")
    ] = None,
) -> list[TokenInfo]:
    return [_told(token) for token in await _do(accounts.tokens) if token.user == user]


@router.delete("/tokens/{token_id}", summary="Revoke a token", responses=documented(*_ADMIN))
async def revoke(accounts: Kept, token_id: TokenId) -> Done:
    await _do(accounts.revoke, token_id)
    return Done()
