"""What a request may bring: refused in words, whatever it asks for."""

import asyncio
import gzip
import json
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI, Request

from viabtc.rest.sizes import (
    BODY_BYTES_MAX,
    DEPTH_MAX,
    HEADER_BYTES_MAX,
    PARAMETERS_MAX,
    TEXT_BYTES_MAX,
    SizeLimits,
)

JSON: Final = {"Content-Type": "application/json"}


def echo() -> FastAPI:
    """An app that answers with the body that it gets."""
    app = FastAPI()
    app.add_middleware(SizeLimits)

    @app.api_route("/echo", methods=["GET", "POST"])
    async def answer(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    return app


def ask(**options: Any) -> httpx.Response:
    """Asks the app once."""

    async def once() -> httpx.Response:
        transport = httpx.ASGITransport(app=echo())
        async with httpx.AsyncClient(transport=transport, base_url="http://rest") as client:
            return await client.request(options.pop("method", "POST"), "/echo", **options)

    return asyncio.run(once())


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1, "b": {"a": 1}}',
        b'[{"a": 1}, {"a": 1}]',
        nested(DEPTH_MAX),
        json.dumps(["x" * TEXT_BYTES_MAX, "x" * TEXT_BYTES_MAX]).encode(),
        json.dumps({"\N{EURO SIGN}" * 1_365: 1}).encode(),
        json.dumps([[]] * 10_000).encode(),
        # What is no JSON is told by whoever reads it.
        b"",
        b"{",
        b"\xff",
        b"9" * 5_000,
        b"x" * BODY_BYTES_MAX,
    ],
)
def test_what_is_within_the_bounds_comes_through_whole(body: bytes) -> None:
    response = ask(content=body, headers=JSON)
    assert response.json() == {"bytes": len(body)}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"a": 1, "a": 1}', 'body: the member "a" stands there twice'),
        (b'{"a": 1, "\\u0061": 2}', 'body: the member "a" stands there twice'),
        (b'[{"b": {"x": 1, "a": 2, "x": 3}}]', 'body: the member "x" stands there twice'),
        (b'{"a": NaN}', "body: NaN is no number of JSON"),
        (b"[Infinity]", "body: Infinity is no number of JSON"),
        (b"[-Infinity]", "body: -Infinity is no number of JSON"),
        (nested(DEPTH_MAX + 1), "body: it has more than 16 levels"),
        (b'{"a":' * 17 + b"1" + b"}" * 17, "body: it has more than 16 levels"),
        (nested(32_768), "body: it has more than 16 levels"),
        (b"[" * 60_000, "body: it has more than 16 levels"),
        (
            json.dumps(["x" * (TEXT_BYTES_MAX + 1)]).encode(),
            "body: a text in it has more than 4096 bytes",
        ),
        (
            json.dumps({"\N{EURO SIGN}" * 1_366: 1}, ensure_ascii=False).encode(),
            "body: a text in it has more than 4096 bytes",
        ),
    ],
)
def test_what_can_be_read_in_two_ways_or_is_too_deep_is_refused_in_words(
    body: bytes, reason: str
) -> None:
    response = ask(content=body, headers=JSON)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid_argument"
    assert response.json()["error"]["reason"] == reason
    assert response.headers["Connection"] == "close"


def test_a_name_that_stands_twice_is_shown_in_part() -> None:
    name = "n" * 4_000
    reason = ask(content=f'{{"{name}": 1, "{name}": 2}}').json()["error"]["reason"]
    assert len(reason) < 100


def test_a_body_is_at_most_64_kib_announced_or_not() -> None:
    large = b"x" * (BODY_BYTES_MAX + 1)

    async def pieces() -> Any:
        for start in range(0, len(large), 8_192):
            yield large[start : start + 8_192]

    for content in (large, pieces()):
        response = ask(content=content)
        assert (response.status_code, response.json()["error"]["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    ("coding", "status"), [("identity", 200), ("", 200), ("gzip", 400), ("br", 400), ("x, y", 400)]
)
def test_a_body_is_sent_as_it_is(coding: str, status: int) -> None:
    headers = JSON | ({"Content-Encoding": coding} if coding else {})
    content = gzip.compress(b"[]" * 50_000) if status == 400 else b"[]"
    response = ask(content=content, headers=headers)
    assert response.status_code == status
    if status == 400:
        reason = "body: send it as it is, without Content-Encoding"
        assert response.json()["error"]["reason"] == reason


def test_address_and_headers_are_bounded() -> None:
    for method in ("GET", "POST"):
        assert ask(method=method, headers={"X": "y" * (HEADER_BYTES_MAX - 1_000)}).is_success
        many = {f"X-{index}": "y" * 100 for index in range(200)}
        for headers in ({"X": "y" * HEADER_BYTES_MAX}, many):
            response = ask(method=method, headers=headers)
            assert response.status_code == 431
            assert response.json()["error"]["code"] == "head_too_large"


def test_parameters_are_bounded() -> None:
    for count, status in ((PARAMETERS_MAX, 200), (PARAMETERS_MAX + 1, 400)):
        response = ask(method="GET", params={f"p{index}": "1" for index in range(count)})
        assert response.status_code == status
    assert response.json()["error"]["reason"] == "the address has 33 parameters, and may have 32"
    for size, status in ((TEXT_BYTES_MAX - 2, 200), (TEXT_BYTES_MAX - 1, 400)):
        assert ask(method="GET", params={"p": "x" * size}).status_code == status
