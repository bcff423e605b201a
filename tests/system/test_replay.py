"""`viabtc replay` against a running exchange: the real data, repetition, and checks that fail."""

import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

import pytest

from harness.configs import three_markets
from harness.http import Connection, post
from harness.places import shared
from harness.processes import VIABTC, Place, Server, start_exchange

EVENTS = """event,order_id,side,price,amount
add,1,bid,0.05,3
add,2,bid,0.05,2
add,3,ask,0.06,1
add,4,bid,0.07,0.5
change,2,bid,0.05,1.5
change,3,ask,0.06,0.25
change,4,bid,0.05,0.5
add,5,ask,0.05,7
"""


def replay(file: Path, place: Place, *options: str) -> tuple[int, str]:
    """Exit code and everything that was said."""
    host, port = place
    done = subprocess.run(
        [*VIABTC, "replay", str(file), "--http", f"{host}:{port}", *options],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The front door of a running exchange."""
    server = start_exchange(tmp_path_factory.mktemp("exchange"), three_markets())
    yield server.place("http")
    assert server.stop() == 0, server.said()


@pytest.fixture
def events(tmp_path: Path) -> Path:
    path = tmp_path / "events.csv"
    path.write_text(EVENTS)
    return path


def test_the_recorded_events_pass_every_check_twice_and_across_a_restart(tmp_path: Path) -> None:
    file = shared("data", "btcusd-orders.csv.gz")
    for _ in range(2):
        server: Server = start_exchange(tmp_path)
        code, said = replay(file, server.place("http"))
        assert code == 0, said
        assert "FAILED" not in said
        rows = ("answers", "order book", "depth", "BTC conserved", "USDT conserved")
        assert [row for row in rows if row not in said] == []
        assert server.get("/audit", "POST")[1]["ok"]
        assert server.stop() == 0, server.said()


def test_another_market_takes_a_file_that_suits_it(place: Place, events: Path) -> None:
    code, said = replay(events, place, "--market", "ETHBTC")
    assert code == 0, said
    assert "6.2500 ETH" in said


def test_a_market_with_orders_of_others_is_refused_in_words(place: Place, events: Path) -> None:
    with Connection(place) as door:
        door.result("balance.update", 5, "USDT", "test", 1, "100", {})
        order = door.result("order.put_limit", 5, "ETHUSDT", 2, "1", "1", "0", "0", "test")
        code, said = replay(events, place, "--market", "ETHUSDT")
        door.result("order.cancel", 5, "ETHUSDT", order["id"])
    assert code == 1
    assert "market ETHUSDT has 1 open orders of other users" in said


def test_a_file_that_the_market_cannot_take_is_refused_with_line_and_column(
    place: Place, tmp_path: Path
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(EVENTS + "add,6,bid,0.05,0.12345\n")
    code, said = replay(path, place, "--market", "ETHBTC")
    assert code == 1
    assert "line 10, column amount: 0.12345 has more than the 4 decimals" in said


def test_an_exchange_that_is_not_there_is_said_to_be_missing(events: Path) -> None:
    code, said = replay(events, ("127.0.0.1", 1))
    assert code == 1
    assert "no exchange answers at 127.0.0.1:1" in said


@contextmanager
def forging(
    place: Place, honest: bytes, forged: bytes, last_word: bytes | None = None
) -> Iterator[Place]:
    """A front door that replaces what a pattern finds in the answers of another.

    Args:
        last_word: It hangs up on the first request that holds this.
    """

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            with Connection(place) as door:
                while self.rfile.readline():
                    while (line := self.rfile.readline()) != b"\r\n":
                        if line.lower().startswith(b"content-length"):
                            size = int(line.split(b":")[1])
                    request = self.rfile.read(size)
                    if last_word is not None and last_word in request:
                        return
                    answer = door.post(request)
                    body = re.sub(honest, forged, answer.body)
                    head = post(body).replace(b"POST / HTTP/1.1", b"HTTP/1.1 200 OK")
                    self.wfile.write(head)

    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield ("127.0.0.1", server.server_address[1])
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("honest", "forged", "row"),
    [
        (b'"left": "0.5"', b'"left": "0.4"', "answers"),
        (b'"deal_stock": "0.5"', b'"deal_stock": "0.25"', "answers"),
        (rb'"orders": \[\{"id"', b'"orders": [{}, {"id"', "order book"),
        (rb'\["0.05", ', b'["0.04", ', "depth"),
        (b'"freeze_balance": "', b'"total_balance": "1", "freeze_balance": "', "BTC conserved"),
        (
            rb'"error": null, "result": (.*"type": 2,)',
            rb'"error": {"code": 2, "message": "x"}, "y": \1',
            "answers",
        ),
    ],
)
def test_a_wrong_answer_fails_its_check(
    place: Place, events: Path, honest: bytes, forged: bytes, row: str
) -> None:
    with forging(place, honest, forged) as false_place:
        code, said = replay(events, false_place, "--market", "ETHBTC")
    assert code == 1, said
    assert any("FAILED" in line for line in said.splitlines() if row in line), said


def test_a_connection_that_ends_on_the_way_is_said_and_fails(place: Place, events: Path) -> None:
    with forging(place, b"", b"", last_word=b"order.put_market") as hanging_up:
        code, said = replay(events, hanging_up, "--market", "ETHBTC")
    assert code == 1, said
    assert any("FAILED" in line for line in said.splitlines() if "connection" in line), said
