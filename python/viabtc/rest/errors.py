"""Errors of the API: a stable code, a sentence, and the numbers behind a refusal."""

from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from viabtc.contract.errors import REASONS
from viabtc.rest.words import said

TOO_LARGE: Final = 413
"""Status of a body that is larger than any request needs."""

STATUSES: Final = {
    "invalid_argument": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "order_not_found": 404,
    "user_not_match": 404,
    "repeat_update": 409,
    "repeat_order": 409,
    "too_large": TOO_LARGE,
    "head_too_large": 431,
    "balance_not_enough": 422,
    "amount_too_small": 422,
    "no_enough_trader": 422,
    "market_halted": 409,
    "name_taken": 409,
    "unchanged": 409,
    "not_possible": 422,
    "too_many_orders": 429,
    "internal_error": 500,
    "service_unavailable": 503,
    "service_timeout": 504,
}
"""Every code with its status. An order of somebody else is not found: its existence is private."""

MESSAGES: Final = {
    **REASONS,
    "invalid_argument": "the request cannot be understood",
    "unauthenticated": "send a token: Authorization: Bearer TOKEN",
    "forbidden": "the token does not allow this",
    "not_found": "there is nothing at this address",
    "method_not_allowed": "this address is not used with this method",
    "too_large": "the body is larger than any request needs",
    "head_too_large": "address and headers are larger than any request needs",
    "too_many_orders": "orders come faster than a user may place them; cancels are not held up",
    "user_not_match": "order not found",
    "repeat_order": "another order was placed with this client_order_id",
    "internal_error": "a service failed",
    "service_unavailable": "a service cannot be reached or takes no writes; nothing was done",
    "service_timeout": "a service did not answer in time; a write may or may not have been done",
}


class Refusal(BaseModel):
    """Why a request was refused."""

    code: str = Field(description="Stable name.", examples=["balance_not_enough"])
    message: str = Field(description="A sentence for people.")
    reason: str | None = Field(None, description="What exactly, where the code leaves it open.")
    details: dict[str, Any] = Field(default_factory=dict, description="The numbers behind it.")


class ErrorBody(BaseModel):
    """Body of every answer that is not 2xx."""

    error: Refusal


class ApiError(Exception):
    """A refusal on its way to the client."""

    def __init__(self, code: str, reason: str | None = None, **details: object) -> None:
        super().__init__(code)
        self.code = code
        self.reason = reason
        self.details: dict[str, Any] = details


def documented(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that can answer with these codes."""
    shared = ("invalid_argument", "internal_error", "service_unavailable", "service_timeout")
    by_status: dict[int | str, list[str]] = {}
    for code in (*shared, *codes):
        by_status.setdefault(STATUSES[code], []).append(code)
    return {
        status: {
            "model": ErrorBody,
            "description": ", ".join(names),
            "content": {"application/json": {"examples": {name: _shown(name) for name in names}}},
        }
        for status, names in by_status.items()
    }


def _shown(code: str) -> dict[str, Any]:
    """An answer with this code, as the documents show it."""
    return {"value": {"error": {"code": code, "message": MESSAGES[code], "details": {}}}}


def document_own(app: FastAPI) -> None:
    """Leaves refusals that never come, the framework's own, out of the document of `app`."""
    whole = app.openapi

    def openapi() -> dict[str, Any]:
        document = whole()
        for operations in document["paths"].values():
            for operation in operations.values():
                if "HTTPValidationError" in str(operation["responses"].get("422")):
                    del operation["responses"]["422"]
        for name in ("HTTPValidationError", "ValidationError"):
            document["components"]["schemas"].pop(name, None)
        return document

    app.openapi = openapi  # type: ignore[method-assign] # as the framework has it done


def answer(error: ApiError) -> JSONResponse:
    """The response for an error."""
    code = "order_not_found" if error.code == "user_not_match" else error.code
    refusal = Refusal(code=code, message=MESSAGES[code], reason=error.reason, details=error.details)
    headers = {}
    if error.code == "unauthenticated":
        headers["WWW-Authenticate"] = "Bearer"
    if wait_ms := error.details.get("retry_after_ms"):
        headers["Retry-After"] = str(-(-wait_ms // 1_000))
    body = ErrorBody(error=refusal).model_dump(exclude_none=True)
    return JSONResponse(body, STATUSES[error.code], headers)


def add_handlers(app: FastAPI) -> None:
    """Gives every error of `app` the same form."""

    @app.exception_handler(ApiError)
    async def refused(_: Request, error: ApiError) -> JSONResponse:
        return answer(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return answer(ApiError("invalid_argument", said(error.errors()[0])))

    @app.exception_handler(HTTPException)
    async def other(_: Request, error: HTTPException) -> JSONResponse:
        by_status = {404: "not_found", 405: "method_not_allowed", TOO_LARGE: "too_large"}
        code = by_status.get(error.status_code, "invalid_argument")
        response = answer(ApiError(code, None if code in by_status.values() else error.detail))
        response.headers.update(error.headers or {})
        return response
