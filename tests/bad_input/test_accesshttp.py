"""The known defects of the original's front door, and that ours does not have them.

The numbers are those of the list at the end of `spec/accesshttp.md`; tests/README.md has the whole
table.
"""

import email.utils
import json
import os
import resource
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from harness.configs import small_config
from harness.http import Connection, post
from harness.processes import (
    VIABTC,
    Place,
    Server,
    start_accesshttp,
    start_matchengine,
)

REQUEST = {"method": "asset.list", "params": [], "id": 7}

UNAVAILABLE = {"error": {"code": 3, "message": "service unavailable"}, "result": None}
TIMEOUT = {"error": {"code": 5, "message": "service timeout"}, "result": None}
INVALID = {"error": {"code": 1, "message": "invalid argument"}, "result": None}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("accesshttp")


@pytest.fixture(scope="module")
def engine(directory: Path) -> Iterator[Server]:
    server = start_matchengine(directory, small_config())
    yield server
    assert server.stop() == 0, server.said()


@pytest.fixture(scope="module")
def door(directory: Path, engine: Server) -> Iterator[Server]:
    """`viabtc accesshttp` in front of the engine, and of nobody else."""
    server = start_accesshttp(directory, {"matchengine": [engine.place("rpc")]})
    yield server
    assert server.stop() == 0, server.said()


@pytest.fixture
def client(door: Server) -> Iterator[Connection]:
    with Connection(door.place("http")) as connection:
        yield connection


def log_levels(directory: Path) -> list[str]:
    lines = (directory / "accesshttp.log").read_text().splitlines()
    return [json.loads(line)["level"] for line in lines]


def test_1_a_body_may_come_in_pieces_and_chunks(client: Connection) -> None:
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    body = json.dumps({**REQUEST, "params": ["x" * 300]}).encode()
    request = post(body)
    for start in range(0, len(request), 37):
        client.send(request[start : start + 37])
    response = client.receive()
    assert response is not None
    assert response.document["error"] is None
    client.send(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    for start in range(0, len(body), 11):
        piece = body[start : start + 11]
        client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
    client.send(b"0\r\n\r\n")
    response = client.receive()
    assert response is not None
    assert response.document["id"] == 7


def test_1_a_body_larger_than_the_limit_is_refused(door: Server) -> None:
    for size, is_taken in ((102_400, True), (102_401, False)):
        body = json.dumps(REQUEST).encode().ljust(size)
        with Connection(door.place("http")) as connection:
            response = connection.post(body)
            assert (response.status == 200) is is_taken, size


def test_2_malformed_requests_alert_nobody(door: Server, directory: Path) -> None:
    before = len(log_levels(directory))
    for body in (b"x", b"[]", b'{"id": 1}', b'{"method": 1, "params": [], "id": 1}', b"\xff" * 99):
        for _ in range(20):
            with Connection(door.place("http")) as connection:
                assert connection.post(body).status == 400
    assert len(log_levels(directory)) == before


def test_3_nobody_outside_reaches_a_port_unless_told_to(
    exchange: Server, tmp_path: Path, golden_config: dict[str, Any]
) -> None:
    status = exchange.status()
    for address in (*status["rpc"], *status["http"]):
        assert address.startswith("tcp@127.0.0.1:"), address
    path = tmp_path / "matchengine.json"
    every = "tcp@0.0.0.0:7316"
    path.write_text(json.dumps({**golden_config, "svr": {**golden_config["svr"], "bind": every}}))
    said = checked("matchengine", path)
    assert "svr.bind opens 0.0.0.0:7316 to other machines, without authentication" in said


def checked(service: str, path: Path) -> str:
    """What `viabtc check-config` says about a file that can be used."""
    done = subprocess.run(
        [*VIABTC, "check-config", "--service", service, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_4_an_over_long_request_is_refused_and_the_link_stays(
    door: Server, client: Connection
) -> None:
    long = {**REQUEST, "params": ["x" * 20_000]}
    with Connection(door.place("http")) as other:
        for _ in range(3):
            other.send(post(json.dumps(long).encode()))
            assert client.result("asset.list")
            response = other.receive()
            assert response is not None
            assert response.document["error"]["code"] == 1
    assert door.status()["links"]["matchengine"]


def test_5_every_failure_has_a_json_body(door: Server, client: Connection) -> None:
    for body, answer in (
        (b"", {**INVALID, "id": None}),
        (b"[]", {**INVALID, "id": None}),
        (b'{"method": "asset.list", "params": {}, "id": 4}', {**INVALID, "id": 4}),
    ):
        with Connection(door.place("http")) as connection:
            response = connection.post(body)
            assert (response.status, response.document) == (400, answer)
            assert connection.is_closed()
    response = client.post(b'{"method": "market.last", "params": ["BTCUSDT"], "id": 5}')
    assert (response.status, response.document) == (500, {**UNAVAILABLE, "id": 5})
    assert client.result("asset.list"), "the connection stays open"


def test_6_pipelined_requests_are_answered_in_their_order(client: Connection) -> None:
    methods = ("asset.list", "market.last", "nothing")
    requests = [
        post(json.dumps({"method": methods[number % 3], "params": [], "id": number}).encode())
        for number in range(300)
    ]
    client.send(b"".join(requests))
    for number in range(300):
        response = client.receive()
        assert response is not None
        assert response.document["id"] == number


def test_7_a_service_that_does_not_answer_is_a_504_and_its_late_answer_nobodys(
    engine: Server, client: Connection
) -> None:
    os.kill(engine.pid, signal.SIGSTOP)
    try:
        response = client.post(b'{"method": "asset.list", "params": [], "id": 1}')
    finally:
        os.kill(engine.pid, signal.SIGCONT)
    assert (response.status, response.document) == (504, {**TIMEOUT, "id": 1})
    assert client.call("market.list")["result"][0]["name"] == "BTCUSDT"


def test_8_the_date_is_a_date_and_browsers_are_given_nothing_that_breaks_them(
    client: Connection,
) -> None:
    response = client.post(json.dumps(REQUEST).encode())
    date = email.utils.parsedate_to_datetime(response.headers["date"])
    assert abs(datetime.now(UTC) - date) < timedelta(seconds=5)
    # A known browser client decodes by itself what is declared as JSON, and fails then.
    assert "json" not in response.headers.get("content-type", "")


def test_9_doors_share_a_port_and_one_that_dies_takes_no_other_with_it(
    engine: Server, tmp_path: Path
) -> None:
    services = {"matchengine": [engine.place("rpc")]}
    doors = []
    with ExitStack() as stack:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            bind = f"tcp@127.0.0.1:{free.getsockname()[1]}"
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
            server = start_accesshttp(
                tmp_path / name, services, svr={"bind": bind, "max_pkg_size": 102400}
            )
            stack.callback(server.kill)
            doors.append(server)
        place = doors[0].place("http")
        for _ in range(40):
            with Connection(place) as connection:
                assert connection.result("asset.list")
        doors[0].kill()
        for _ in range(10):
            with Connection(place) as connection:
                assert connection.result("asset.list")


def test_10_a_stop_answers_the_requests_that_were_taken(engine: Server, tmp_path: Path) -> None:
    server = start_accesshttp(tmp_path, {"matchengine": [engine.place("rpc")]}, timeout=3.0)
    with Connection(server.place("http")) as connection:
        assert connection.result("asset.list")
        os.kill(engine.pid, signal.SIGSTOP)
        try:
            connection.send(post(json.dumps(REQUEST).encode()))
            server.until(lambda: requests_of(server) >= 2)
            server.process.terminate()
            assert server.is_running(0.3), "it did not wait for the answer"
        finally:
            os.kill(engine.pid, signal.SIGCONT)
        response = connection.receive()
        assert response is not None
        assert response.document["id"] == REQUEST["id"]
    assert server.stop() == 0, server.said()


def requests_of(server: Server) -> int:
    """Requests that the door has taken."""
    with urlopen(f"{server.control}/metrics") as response:
        text = response.read().decode()
    return sum(
        int(float(line.split()[1]))
        for line in text.splitlines()
        if line.startswith("viabtc_door_requests_total")
    )


def test_10_a_reader_that_does_not_read_costs_bounded_memory(exchange: Server) -> None:
    place = exchange.place("http")
    request = post(json.dumps({"method": "market.list", "params": [], "id": 1}).encode())
    before = resident_bytes(exchange.pid)
    with Connection(place) as greedy:
        greedy.socket.settimeout(0.5)
        # Until the port stops reading or hangs up.
        with pytest.raises((TimeoutError, ConnectionError)):
            greedy.send(request * 1_000_000)
        with Connection(place) as other:
            assert other.result("asset.list")
        assert resident_bytes(exchange.pid) - before < 100 << 20


def resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096


def test_11_a_second_address_is_used_when_the_first_does_not_answer(
    engine: Server, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        dead: Place = free.getsockname()
    services = {"matchengine": [dead, engine.place("rpc")]}
    server = start_accesshttp(tmp_path, services)
    with Connection(server.place("http")) as connection:
        assert connection.result("asset.list")
    assert server.stop() == 0, server.said()


def test_12_keys_that_have_no_effect_are_named(directory: Path, door: Server) -> None:
    config = json.loads((directory / "accesshttp.json").read_text())
    config["matchengine"]["write_mem"] = 1 << 20
    path = directory / "write_mem.json"
    path.write_text(json.dumps(config))
    assert "matchengine.write_mem has no effect" in checked("accesshttp", path)


def test_13_no_descriptors_left_costs_no_processor_and_ends_when_some_are_free(
    engine: Server, tmp_path: Path
) -> None:
    server = start_accesshttp(tmp_path, {"matchengine": [engine.place("rpc")]})
    place = server.place("http")
    in_use = len(list(Path(f"/proc/{server.pid}/fd").iterdir()))
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (in_use + 5, in_use + 5))
    with ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(socket.create_connection(place))
        begun, used = time.monotonic(), processor_seconds(server.pid)
        assert server.is_running(1.0)
        share = (processor_seconds(server.pid) - used) / (time.monotonic() - begun)
        assert share < 0.5, f"{share:.0%} of a processor is used"
    with Connection(place) as connection:
        assert connection.result("asset.list")
    assert server.stop() == 0, server.said()


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_ids_are_checked_before_the_method_and_kept_as_they_are(door: Server) -> None:
    for text, status in (
        ("-9223372036854775808", 200),
        ("9223372036854775807", 200),
        ("0", 200),
        ("9223372036854775808", 400),
        ("1.0", 400),
        ('"1"', 400),
        ("null", 400),
    ):
        body = f'{{"method": "asset.list", "params": [], "id": {text}}}'.encode()
        with Connection(door.place("http")) as connection:
            response = connection.post(body)
            assert response.status == status, text
            if status == 200:
                assert response.document["id"] == int(text)


def test_json_is_taken_as_the_original_takes_it(door: Server) -> None:
    taken = (
        b' \n\t{"method": "nothing", "method": "asset.list", "params": [], "id": 1} ',
        b'{"jsonrpc": "2.0", "method": "asset.list", "params": [], "id": 1}',
        b'{"method": "asset.list", "params": [' + b"[" * 126 + b"]" * 126 + b'], "id": 1}',
        b'{"method": "asset\\u002elist", "params": [], "id": -0}',
    )
    refused = (
        b'{"method": "asset.list", "params": [], "id": 1} x',
        b'{"method": "asset.list", "params": [1,], "id": 1}',
        b'{"method": "asset.list", "params": [NaN], "id": 1}',
        b'{"method": "asset.list", "params": ["\\u0000"], "id": 1}',
        b'{"method": "asset.list", "params": ["\\ud800"], "id": 1}',
        b'{"method": "asset.list", "params": ["\xff"], "id": 1}',
        b'{"method": "asset.list", "params": [01], "id": 1}',
        b'{"method": "asset.list", "params": [1e400], "id": 1}',
        b'\xef\xbb\xbf{"method": "asset.list", "params": [], "id": 1}',
        b'{"method": "asset.list", "params": [' + b"[" * 127 + b"]" * 127 + b'], "id": 1}',
        b"[" * 100_000,
        b'[{"method": "asset.list", "params": [], "id": 1}]',
    )
    for bodies, status in ((taken, 200), (refused, 400)):
        for body in bodies:
            with Connection(door.place("http")) as connection:
                assert connection.post(body).status == status, body[:100]


def test_many_half_open_requests_leave_the_door_serving(exchange: Server) -> None:
    place = exchange.place("http")
    with ExitStack() as stack:
        for number in range(200):
            connection = stack.enter_context(Connection(place))
            connection.send(post(b"{" * 50)[: number % 100 + 1])
        with Connection(place) as other:
            assert other.result("asset.list")


def test_connections_of_many_threads_are_all_answered(exchange: Server) -> None:
    place = exchange.place("http")
    answers: list[int] = []

    def work(user: int) -> None:
        with Connection(place) as connection:
            for number in range(50):
                identity = ("threads", number)
                assert connection.result("balance.update", user, "BTC", *identity, "1", {})
            answers.append(int(connection.result("balance.query", user)["BTC"]["available"]))

    threads = [threading.Thread(target=work, args=(user,)) for user in range(1, 21)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [50] * 20
