"""Routes whose every use by an administrator stands in the audit log, before and after."""

from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from viabtc.rest.errors import ApiError
from viabtc.rest.keys import caller_of
from viabtc.service.auditlog import ASKED, DONE, AuditLog, AuditLogError, read_request

UNKNOWN: Final = "internal_error"
"""Outcome of what ended in a way that no code stands for."""


class AuditedRoute(APIRoute):
    """A route that does nothing which is not written down first.

    Reads are not written, nor what others than administrators try: they get no further.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        serve = super().get_route_handler()

        async def audited(request: Request) -> Response:
            who = caller_of(request)
            if request.method == "GET" or who is None or not who.is_admin:
                return await serve(request)
            audit: AuditLog = request.app.state.audit
            action = f"{request.method} {request.url.path}"
            body = read_request(await request.body())
            await _write(audit, who.actor, action, body, ASKED)
            outcome = UNKNOWN
            try:
                response = await serve(request)
                outcome = DONE
            except ApiError as error:
                outcome = error.code
                raise
            except RequestValidationError:
                outcome = "invalid_argument"
                raise
            finally:
                await _write(audit, who.actor, action, None, outcome)
            return response

        return audited


async def _write(audit: AuditLog, actor: str, action: str, request: object, outcome: str) -> None:
    try:
        await audit.write(actor, action, request, outcome)
    except AuditLogError as error:
        reason = "the audit log cannot be written"
        if outcome != ASKED:
            reason += f"; the outcome was: {outcome}"
        raise ApiError("service_unavailable", reason) from error
