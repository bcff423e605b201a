"""What accessws asks at `auth_url`: who a token stands for. For the machine's own services only.

Source: aw_auth.c. The token is the whole header `Authorization`; the answer's status is always 200.
"""

from typing import Any, Final

from fastapi import FastAPI, Request

from viabtc.service.tokens import Tokens

AUTH: Final = "/internal/exchange/user/auth"
"""Where the samples of accessws ask."""


def add_sites(app: FastAPI, tokens: Tokens) -> None:
    """Answers for the exchange's own web site."""

    @app.get(AUTH, include_in_schema=False)
    async def auth(request: Request) -> dict[str, Any]:
        user = tokens.user_of(request.headers.get("Authorization", ""))
        if user is None:
            return {"code": 1, "message": "invalid token"}
        return {"code": 0, "data": {"user_id": user}}
