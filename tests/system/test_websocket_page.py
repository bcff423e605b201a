"""Every example of docs/websocket.md is answered as it says."""

import json
import re
from typing import Any

from harness.places import ROOT
from harness.processes import Server
from harness.websocket import Client


def examples() -> list[tuple[str, Any]]:
    """Sent (`>`) and received (`<`) documents, in the order of the page."""
    page = (ROOT / "docs" / "websocket.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```text\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines()]
    return [(line[0], json.loads(line[2:])) for line in lines]


def test_every_example_is_answered_as_the_page_says(exchange: Server) -> None:
    played = 0
    with Client(exchange.place("websocket")) as client:
        for direction, document in examples():
            if direction == ">":
                client.send(document)
            else:
                assert client.receive() == document
                played += 1
    assert played >= 8
