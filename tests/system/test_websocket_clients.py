"""The websocket as a client of others sees it: the package "ws" of Node.js, which is strict."""

import hashlib
import json
from typing import Any

import pytest

from harness.node import line, running
from harness.places import ROOT
from viabtc import _core

SCRIPT = ROOT / "tests" / "harness" / "ws.mjs"

TEXTS = [json.dumps(["price", *range(size)]) for size in (1, 60, 90, 1_000, 40_000)]
"""Pushes of less than 10 to more than 200,000 bytes."""


@pytest.mark.parametrize(
    "offer",
    [
        False,
        {},
        {"serverNoContextTakeover": True, "clientNoContextTakeover": True},
        {"serverMaxWindowBits": 15, "clientMaxWindowBits": 10},
        {"serverMaxWindowBits": 9},
        {"threshold": 0},
    ],
)
def test_nodes_ws_and_the_hub_understand_each_other(offer: object) -> None:
    """It inflates with the window that it asked for: what refers further back is an error."""
    hub = _core.Hub(["tcp@127.0.0.1:0"], options={"deflate": True})
    try:
        url = f"ws://127.0.0.1:{hub.addresses[0].rpartition(':')[2]}/"
        with running(SCRIPT, url, json.dumps(offer)) as client:

            def said() -> dict[str, Any]:
                found: dict[str, Any] = json.loads(line(client.stdout))
                return found

            assert bool(said()["extensions"]) == (offer is not False)
            assert [said() for _ in range(3)] == [{"pong": True}] * 3
            for _ in range(4 * 3):
                answer = said()
                assert answer["answer"] == {"error": None, "result": "pong", "id": answer["id"]}
            assert said()["pushed"] > 0, "the answer of the subscription"
            for text in TEXTS:
                hub.publish([("price X", text.encode(), None)])
                digest = hashlib.sha256(text.encode()).hexdigest()
                assert said() == {"pushed": len(text), "digest": digest}
            assert client.stdin is not None
            client.stdin.write("enough\n")
            client.stdin.flush()
            assert said() == {"close": 4_000, "reason": ""}
    finally:
        hub.stop()
