"""A direct route answers as one of FastAPI's own does."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.routing import APIRoute
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from viabtc.rest.direct import DirectRoute
from viabtc.rest.errors import ApiError, add_handlers, documented
from viabtc.rest.keys import Trader, User
from viabtc.rest.models import PlaceOrder
from viabtc.rest.sizes import BODY_BYTES_MAX, SizeLimits
from viabtc.service.tokens import Tokens, open_tokens

JSON = {"Content-Type": "application/json"}


class Placed(BaseModel):
    """What the endpoint here answers."""

    user: int
    amount: str
    note: str | None = None


async def place(request: Request, user: Trader, order: PlaceOrder) -> Placed:
    assert request.url.path == "/orders"
    if order.market == "NONE":
        raise ApiError("not_found", "there is no market NONE")
    return Placed(user=user, amount=order.amount)


def app_of(kind: type[APIRoute], tokens: Tokens) -> FastAPI:
    app = FastAPI()
    app.state.tokens = tokens
    add_handlers(app)
    app.add_middleware(SizeLimits)
    router = APIRouter(route_class=kind)
    router.post("/orders", status_code=201, responses=documented("not_found"))(place)
    app.router.routes.extend(router.routes)
    return app


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    return open_tokens(tmp_path_factory.mktemp("direct") / "tokens")


@pytest.fixture(scope="module")
def apps(tokens: Tokens) -> tuple[FastAPI, FastAPI]:
    return app_of(DirectRoute, tokens), app_of(APIRoute, tokens)


def answers(
    apps: Sequence[FastAPI], content: Any, headers: dict[str, str]
) -> Iterator[httpx.Response]:
    async def once(app: FastAPI) -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            return await client.post("/orders", content=content, headers=headers)

    for app in apps:
        yield asyncio.run(once(app))


def bearer(tokens: Tokens, name: str = "user-1") -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens.by_name[name]}"}


ORDER = {"market": "BTCUSDT", "side": "bid", "amount": "0.5", "price": "100"}

TEXTS = st.sampled_from(["0.5", "1", "", "-1", "1e3", "NaN", "bid", "limit", "NONE", "\u0663"])
VALUES = st.one_of(st.none(), st.booleans(), st.integers(), TEXTS, st.just([]), st.just({}))
NAMES = st.sampled_from([*ORDER, "type", "user", "odd"])


@given(changes=st.dictionaries(NAMES, VALUES, max_size=3), without=st.sets(NAMES, max_size=1))
def test_every_body_is_answered_the_same(
    apps: tuple[FastAPI, FastAPI], tokens: Tokens, changes: dict[str, Any], without: set[str]
) -> None:
    body = {name: value for name, value in (ORDER | changes).items() if name not in without}
    headers = JSON | bearer(tokens)
    direct, own = answers(apps, json.dumps(body).encode(), headers)
    assert direct.status_code == own.status_code
    assert direct.json() == own.json()
    assert direct.headers.items() == own.headers.items()


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"", JSON, 400),
        (b"{", JSON, 400),
        (b"[]", JSON, 400),
        (b"null", JSON, 400),
        (b"[" * 60_000, JSON, 400),
        (b'{"market": "\\ud800"}', JSON, 400),
        (b"\xff\xfe", JSON, 400),
        (b"x" * (BODY_BYTES_MAX + 1), JSON, 413),
        (json.dumps(ORDER).encode(), {}, 400),
        (json.dumps(ORDER).encode(), {"Content-Type": "text/plain"}, 400),
        (json.dumps(ORDER).encode(), {"Content-Type": "application/json; charset=utf-8"}, 201),
        (json.dumps(ORDER).encode(), {"Content-Type": "application/vnd.x+json"}, 201),
        (json.dumps(ORDER | {"market": "NONE"}).encode(), JSON, 404),
    ],
)
def test_what_is_no_body_gets_the_same_status(
    apps: tuple[FastAPI, FastAPI],
    tokens: Tokens,
    content: bytes,
    headers: dict[str, str],
    status: int,
) -> None:
    direct, own = answers(apps, content, headers | bearer(tokens))
    assert (direct.status_code, own.status_code) == (status, status)
    if status >= 400:
        assert direct.json()["error"]["code"] == own.json()["error"]["code"]


def test_a_body_that_grows_too_large_is_refused(
    apps: tuple[FastAPI, FastAPI], tokens: Tokens
) -> None:
    async def pieces() -> Any:
        for _ in range(9):
            yield b"[" * 8_192

    for app in apps:
        (response,) = answers((app,), pieces(), JSON | bearer(tokens))
        assert response.status_code == 413


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({"Authorization": "Bearer x"}, 401),
        ({"Authorization": "Basic x"}, 401),
    ],
)
def test_who_is_nobody_is_told_so_whatever_the_body(
    apps: tuple[FastAPI, FastAPI], headers: dict[str, str], status: int
) -> None:
    for content in (json.dumps(ORDER).encode(), b"{}"):
        direct, own = answers(apps, content, JSON | headers)
        assert (direct.status_code, own.status_code) == (status, status)
        assert direct.json() == own.json()
        assert direct.headers["WWW-Authenticate"] == "Bearer"
    assert next(answers(apps, b"{", JSON | headers)).status_code == 401


def test_the_documents_are_the_same(apps: tuple[FastAPI, FastAPI]) -> None:
    direct, own = (app.openapi() for app in apps)
    assert direct == own
    assert direct["paths"]["/orders"]["post"]["security"]


async def _no_body(request: Request, user: Trader) -> Placed:
    raise NotImplementedError((request, user))


async def _a_reader(request: Request, user: User, order: PlaceOrder) -> Placed:
    raise NotImplementedError((request, user, order))


async def _a_query(
    request: Request, user: Trader, order: PlaceOrder, depth: Annotated[int, Query()] = 1
) -> Placed:
    raise NotImplementedError((request, user, order, depth))


@pytest.mark.parametrize("endpoint", [_no_body, _a_reader, _a_query])
def test_an_endpoint_that_asks_for_something_else_is_refused(endpoint: Any) -> None:
    with pytest.raises(TypeError, match="has to take a request, a trader and a body"):
        DirectRoute("/orders", endpoint, methods=["POST"])
