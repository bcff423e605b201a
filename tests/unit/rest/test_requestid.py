"""Ids of requests: the client's where they are safe, in the answer and in log lines."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from structlog.contextvars import get_contextvars, merge_contextvars
from structlog.testing import LogCapture

from viabtc.edges.rpc import REQUEST
from viabtc.rest import requestid
from viabtc.rest.requestid import HEADER, RequestId
from viabtc.rest.times import Times


async def _inside(request: Request) -> Response:
    """What log lines about the request would carry."""
    status = int(request.query_params.get("status", "200"))
    number = {"number": str(REQUEST.get())}
    return PlainTextResponse(get_contextvars()["request_id"], status, number)


@pytest.fixture
def lines() -> Iterator[LogCapture]:
    before = structlog.get_config()
    captured = LogCapture()
    structlog.configure(processors=[merge_contextvars, captured])
    yield captured
    structlog.configure(**before)


def ask(path: str, **headers: str) -> httpx.Response:
    async def once() -> httpx.Response:
        routes = [Route(path, _inside) for path in ("/inside", "/beside")]
        inner = Starlette(routes=routes)
        app = RequestId(inner, structlog.get_logger(), "/inside", Times("/inside"))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(once())


@pytest.mark.parametrize("given", ["a", "ticket-42", "A_b.c-9", "x" * 64])
def test_a_safe_id_of_the_client_is_taken(given: str) -> None:
    answer = ask("/inside", **{HEADER: given})
    assert answer.text == answer.headers[HEADER] == given


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "a;b", 'a"b', "a/b", "%0a", "a,b"])
def test_another_gets_one_of_ours(given: str) -> None:
    answer = ask("/inside", **{HEADER: given})
    assert answer.text == answer.headers[HEADER]
    assert len(answer.text) == 16
    assert int(answer.text, 16) >= 0


def test_each_request_without_one_gets_its_own() -> None:
    assert len({ask("/inside").headers[HEADER] for _ in range(50)}) == 50


def test_a_failed_request_is_logged_with_its_id_and_without_its_address(lines: LogCapture) -> None:
    assert ask("/inside?status=503&secret=1", **{HEADER: "abc"}).status_code == 503
    (line,) = lines.entries
    assert (line["event"], line["status"], line["request_id"]) == ("a request failed", 503, "abc")
    assert "secret" not in str(line)


def test_what_is_not_of_the_api_is_not_logged(lines: LogCapture) -> None:
    assert ask("/beside?status=503").status_code == 503
    assert lines.entries == []


def test_a_slow_request_is_a_warning_and_another_is_not(
    lines: LogCapture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask("/inside").is_success
    assert lines.entries == []
    monkeypatch.setattr(requestid, "is_written", lambda level: level == "debug")
    assert ask("/inside").is_success
    monkeypatch.setattr(requestid, "SLOW_NS", 0)
    assert ask("/inside").is_success
    levels = [(line["log_level"], line["event"]) for line in lines.entries]
    assert levels == [("debug", "request"), ("warning", "a request was slow")]


def test_the_frames_of_its_calls_carry_the_number_that_its_lines_name(
    lines: LogCapture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requestid, "is_written", lambda _: True)
    assert ask("/inside", **{HEADER: "00c0ffee00c0ffee"}).headers["number"] == str(0xC0FFEE00C0FFEE)
    number = int(ask("/inside", **{HEADER: "ticket-42"}).headers["number"])
    assert number == requestid.number_of("ticket-42") != requestid.number_of("ticket-43")
    ours, theirs = lines.entries
    assert "rpc_id" not in ours
    assert theirs["rpc_id"] == f"{number:016x}"
