"""`viabtc status`: services that are ready, not ready, and not there are told apart."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from harness.redis import free_port
from viabtc.status import show


class Control(BaseHTTPRequestHandler):
    """A control app that is ready, or not."""

    is_ready = True

    def do_GET(self) -> None:
        is_refused = self.path == "/health/ready" and not self.is_ready
        imbalance = {"asset": "BTC", "detail": "1 is not 2"}
        status = {
            "version": "1",
            "sequence": 5,
            "halt": None if self.is_ready else imbalance,
            "halted_markets": ["BTCUSDT"],
            "way_back": "open",
            "sums": {"BTC": {"total": "7", "fees_collected": "0", "supply": "7"}},
            "projections": {"history": {"lag_commands": 3, "problem": "no database"}},
            "links": {"a": True, "b": False},
        }
        body = json.dumps(status)
        self.send_response(503 if is_refused else 200)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Says nothing."""


class Waiting(Control):
    """One that is not ready."""

    is_ready = False


class Late(Control):
    """One that is ready when it is asked again."""

    looks = 0

    def do_GET(self) -> None:
        if self.path == "/health/ready":
            Late.looks += 1
            self.is_ready = Late.looks > 1
        super().do_GET()


@pytest.fixture
def places() -> Iterator[dict[str, str]]:
    servers = [
        ThreadingHTTPServer(("127.0.0.1", 0), handler) for handler in (Control, Waiting, Late)
    ]
    for server in servers:
        threading.Thread(target=server.serve_forever).start()
    ports = [server.server_address[1] for server in servers]
    yield {
        "one": f"127.0.0.1:{ports[0]}",
        "two": f"127.0.0.1:{ports[1]}",
        "three": f"127.0.0.1:{free_port()}",
        "late": f"127.0.0.1:{ports[2]}",
    }
    for server in servers:
        server.shutdown()
        server.server_close()


def test_every_service_is_told_apart(
    places: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    late = places.pop("late")
    assert show(places, as_json=True, wait_s=0) == 1
    found = json.loads(capsys.readouterr().out)
    states = {name: one["state"] for name, one in found.items()}
    assert states == {"one": "ready", "two": "not ready", "three": "not running"}
    assert found["one"]["status"]["sequence"] == 5
    assert show({"one": places["one"]}, as_json=False, wait_s=0) == 0
    table = capsys.readouterr().out
    assert "ready" in table
    assert "without b" in table
    said = " ".join(table.replace("│", " ").split())
    for words in ("halted: BTCUSDT", "BTC 7", "history 3", "(no database)"):
        assert words in said, said
    assert "TRADING IS HALTED" not in said
    assert show({"two": places["two"]}, as_json=False, wait_s=0) == 1
    assert "TRADING" in capsys.readouterr().out
    assert show({"late": late}, as_json=True, wait_s=60) == 0
    assert Late.looks > 1
