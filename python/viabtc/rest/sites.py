"""What accessws asks at `auth_url` and `sign_url`, for the machine's own services only.

Source: aw_auth.c and aw_sign.c. A token is the whole header `Authorization`; the status of an
answer is always 200. Of tokens only hashes are kept, so that who reads the file can act as nobody:
there is nothing that a signature could be compared with, and `sign_url` says so in words.
"""

from typing import Any, Final

from fastapi import FastAPI, Request

from viabtc.service.tokens import NO_SIGNATURES, Tokens

AUTH: Final = "/internal/exchange/user/auth"
"""Where the samples of accessws ask."""

SIGN: Final = "/internal/exchange/user/sign"
"""Where they ask about signatures."""


def add_sites(app: FastAPI, tokens: Tokens) -> None:
    """Answers for the exchange's own web site."""

    @app.get(AUTH, include_in_schema=False)
    async def auth(request: Request) -> dict[str, Any]:
        user = tokens.user_of(request.headers.get("Authorization", ""))
        if user is None:
            return {"code": 1, "message": "invalid token"}
        return {"code": 0, "data": {"user_id": user}}

    @app.get(SIGN, include_in_schema=False)
    async def sign() -> dict[str, Any]:
        return {"code": 1, "message": NO_SIGNATURES}
