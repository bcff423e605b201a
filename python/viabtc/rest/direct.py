"""Routes that are asked most often, served without what FastAPI can do beyond what they need.

A request's way through a route of FastAPI - two exit stacks, a solver of dependencies, two more
handlers of exceptions, a check of our own answer - costs more than all that the route does. A
`DirectRoute` is declared as any other and documented as any other. Its endpoint takes the request,
a trader, and a body; what is wrong with them is answered as everywhere.
"""

from collections.abc import Callable
from email.message import Message as Headers
from typing import Any, Final

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from viabtc.rest.errors import ApiError
from viabtc.rest.keys import trader, trader_of

JSON: Final = "application/json"


class DirectRoute(APIRoute):
    """Gives the endpoint what it asks for, and sends what it returns.

    Raises:
        TypeError: the endpoint asks for something else.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        asked = self.dependant
        others = (
            *asked.path_params,
            *asked.query_params,
            *asked.header_params,
            *asked.cookie_params,
        )
        callers = [one.name for one in asked.dependencies if one.call is trader]
        bodies = [field.name for field in asked.body_params]
        is_served = (
            not others
            and len(asked.dependencies) == len(callers) == len(bodies) == 1
            and asked.request_param_name
        )
        if not is_served:
            message = f"{endpoint.__name__} has to take a request, a trader and a body"
            raise TypeError(message)
        self._names = [name for name in (asked.request_param_name, *callers, *bodies) if name]
        self._body: TypeAdapter[Any] = TypeAdapter(
            asked.body_params[0].field_info.annotation or Any
        )
        self._answer: TypeAdapter[Any] = TypeAdapter(self.response_model)
        self.app = self._serve

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        user = trader_of(request)
        body = self._read(request, await request.body())
        arguments = zip(self._names, (request, user, body), strict=True)
        answer = self._answer.dump_json(await self.endpoint(**dict(arguments)))
        await Response(answer, self.status_code or 200, media_type=JSON)(scope, receive, send)

    def _read(self, request: Request, body: bytes) -> Any:
        """The body.

        Raises:
            ApiError, RequestValidationError: it is none.
        """
        if not _is_json(request.headers.get("content-type", "")):
            raise ApiError("invalid_argument", f"body: send it with Content-Type: {JSON}")
        try:
            return self._body.validate_json(body)
        except ValidationError as error:
            found = [{**one, "loc": ("body", *one["loc"])} for one in error.errors()]
            raise RequestValidationError(found) from error


def _is_json(content_type: str) -> bool:
    if content_type == JSON:
        return True
    headers = Headers()
    headers["Content-Type"] = content_type
    kind = headers.get_content_type()
    return kind == JSON or (kind.startswith("application/") and kind.endswith("+json"))
