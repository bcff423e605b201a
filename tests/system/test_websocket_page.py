"""Every example of docs/websocket.md and docs/stream.md is answered as it says."""

import json
import re
from typing import Any

import pytest

from harness.places import ROOT
from harness.processes import Server
from harness.websocket import Client
from viabtc.contract.channels import PATH


def examples(name: str) -> list[tuple[str, Any]]:
    """Sent (`>`) and received (`<`) documents, in the order of the page."""
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    blocks = re.findall(r"^```text\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines()]
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
