"""Every example of docs/websocket.md and docs/stream.md is answered as it says."""

import ast
import asyncio
import json
import re
from collections.abc import Coroutine
from types import FunctionType
from typing import Any, Final

import pytest

from harness.places import ROOT
from harness.processes import Server
from harness.websocket import Client
from viabtc.contract.channels import PATH

DEADLINE_S: Final = 30.0


def blocks(name: str, language: str) -> list[str]:
    """The examples in a language, in the order of the page."""
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


def examples(name: str) -> list[tuple[str, Any]]:
    """Sent (`>`) and received (`<`) documents, in the order of the page."""
    lines = [line for block in blocks(name, "text") for line in block.splitlines()]
    return [(line[0], json.loads(line[2:])) for line in lines]


@pytest.mark.parametrize(("name", "path"), [("websocket.md", "/"), ("stream.md", PATH)])
def test_every_example_is_answered_as_the_page_says(exchange: Server, name: str, path: str) -> None:
    played = 0
    with Client(exchange.place("websocket"), path) as client:
        for direction, document in examples(name):
            if direction == ">":
                client.send(document)
            else:
                received = client.receive()
                if "stream" in document:
                    # It is drawn when a channel begins.
                    assert re.fullmatch("[0-9a-f]{16}", received["stream"])
                    document["stream"] = received["stream"]
                assert received == document
                played += 1
    assert played >= 8


class EnoughError(Exception):
    """The example has shown what it is there for."""


def test_the_example_in_python_shows_both_of_its_channels(exchange: Server) -> None:
    [example] = blocks("stream.md", "python")
    host, port = exchange.place("websocket")
    assert "127.0.0.1:8090" in example
    text = example.replace("127.0.0.1:8090", f"{host}:{port}")
    code = compile(text, "stream.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    shown: dict[str, Any] = {}

    def show(channel: str, *rest: Any) -> None:
        shown[channel] = rest
        if len(shown) > 1:
            raise EnoughError

    async def run(work: Coroutine[Any, Any, None]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            await work

    with pytest.raises(EnoughError):
        asyncio.run(run(FunctionType(code, {"print": show})()))
    assert shown == {"book:BTCUSDT": (1, []), "trades:BTCUSDT": (1, [])}
