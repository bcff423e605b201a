"""The alert centre with a real Redis and a real mail server."""

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from redis import Redis

from harness.processes import Place, Reserved, Server, spawn, split
from harness.redis import free_port, redis_server
from viabtc.protocol.alert import MARK, write_alert

KEY = "alert:message"

Open = Callable[[int], Redis]


class Mailbox(Message):
    """Keeps the mails that a server takes."""

    def __init__(self) -> None:
        super().__init__()
        self.mails: list[Any] = []

    def handle_message(self, message: Any) -> None:
        self.mails.append(message)


@pytest.fixture
def mail_server() -> Iterator[tuple[Mailbox, int]]:
    mailbox = Mailbox()
    port = free_port()
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    yield mailbox, port
    controller.stop()


@contextlib.contextmanager
def alertcenter(directory: Path, redis_port: int, **own: Any) -> Iterator[tuple[Server, Place]]:
    """A running alert centre, and the place of its listener."""
    control = Reserved()
    path = directory / "alertcenter.json"
    place = Reserved()
    settings = {
        "log": {"path": str(directory / "alertcenter"), "flag": "fatal,error,warn,info"},
        "svr": {"bind": [f"tcp@{place.place}", f"udp@{place.place}"], "max_pkg_size": 10240},
        "redis": {"name": "", "addr": [f"127.0.0.1:{redis_port}"]},
        "viabtc": {"control": control.place, **own},
    }
    path.write_text(json.dumps(settings))
    place.close()
    output = directory / "alertcenter.out"
    process = spawn(["alertcenter", str(path)], output)
    server = Server(process, f"http://{control.place}", output, {"control": control})
    server.until_ready()
    yield server, split(server.status()["addresses"][0])
    assert server.stop() == 0, server.said()


@pytest.fixture
def opened() -> Iterator[Open]:
    """Gives clients of the Redis at a port, closed when the test ends."""
    with contextlib.ExitStack() as stack:

        def client(port: int) -> Redis:
            connection = Redis(port=port, decode_responses=True)
            stack.callback(connection.close)
            return connection

        yield client


def until(is_so: Callable[[], bool], deadline_s: float = 15.0) -> None:
    deadline = time.monotonic() + deadline_s
    while not is_so():
        assert time.monotonic() < deadline, "did not come true"


def send_tcp(place: Place, data: bytes) -> None:
    with socket.create_connection(place, 5) as connection:
        connection.sendall(data)


def test_alerts_are_kept_as_the_original_keeps_them(tmp_path: Path, opened: Open) -> None:
    with redis_server(tmp_path / "redis") as port, alertcenter(tmp_path, port) as (server, place):
        redis = opened(port)
        # In pieces, with CR LF, several to a connection.
        send_tcp(place, MARK + b"one: [fatal]a\r\n" + MARK + b"two: [fatal]b\n")
        until(lambda: redis.llen(KEY) == 2)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(MARK + b"three: [fatal]first line\nsecond line\n", place)
            sender.sendto(MARK + b"four: [fatal]cut", place)
            sender.sendto(b"no mark\n", place)
        until(lambda: redis.llen(KEY) == 4)
        send_tcp(place, b"no mark\n" + MARK + b"after a bad record\n")
        send_tcp(place, MARK + b"x" * 20_000 + b"\n")
        send_tcp(place, write_alert("five", "two\nlines"))
        until(lambda: redis.llen(KEY) == 5)
        assert redis.lrange(KEY, 0, -1) == [
            "one: [fatal]a",
            "two: [fatal]b",
            "three: [fatal]first line",
            "four: [fatal]cut",
            "five: [fatal]two lines",
        ]
        assert server.is_running()


def test_alerts_wait_in_a_file_while_redis_is_away(tmp_path: Path, opened: Open) -> None:
    port = free_port()
    with alertcenter(tmp_path, port) as (server, place):
        send_tcp(place, write_alert("host", "one") + write_alert("host", "two"))
        until(lambda: server.status()["spooled_bytes"] > 0)
        with redis_server(tmp_path / "redis", port=port):
            redis = opened(port)
            until(lambda: redis.llen(KEY) == 2)
            assert redis.lrange(KEY, 0, -1) == ["host: [fatal]one", "host: [fatal]two"]
            until(lambda: server.status()["spooled_bytes"] == 0)


def test_ten_thousand_alerts_are_all_kept_and_few_mails_sent(
    tmp_path: Path, mail_server: tuple[Mailbox, int], opened: Open
) -> None:
    mailbox, smtp_port = mail_server
    smtp = {
        "addr": f"127.0.0.1:{smtp_port}",
        "from": "alert@example.org",
        "to": ["one@example.org", "two@example.org"],
        "starttls": False,
    }
    silences = [{"text": "known", "until": 2**39}]
    with (
        redis_server(tmp_path / "redis") as port,
        alertcenter(tmp_path, port, smtp=smtp, mail_interval_s=3, silences=silences) as running,
    ):
        server, place = running
        send_tcp(place, write_alert("host", "the first"))
        until(lambda: len(mailbox.mails) == 1)
        flood = b"".join(write_alert("host", f"order {number} failed") for number in range(9_999))
        send_tcp(place, flood + write_alert("host", "known trouble"))
        until(lambda: len(mailbox.mails) == 2)
        redis = opened(port)
        until(lambda: redis.llen(KEY) == 0)
        assert [mail["Subject"] for mail in mailbox.mails] == [
            "viabtc server error: 1 alert",
            "viabtc server error: 9999 alerts",
        ]
        assert mailbox.mails[1].get_payload().strip() == "9999 x host: [fatal]order 0 failed"
        assert mailbox.mails[1]["To"] == "one@example.org, two@example.org"
        log = "".join(path.read_text() for path in tmp_path.glob("alertcenter.*.log"))
        assert log.count('"alert message"') == 10_001
        assert server.is_running()


def test_a_mail_server_that_is_away_delays_alerts_and_loses_none(tmp_path: Path) -> None:
    mailbox = Mailbox()
    reserved = Reserved()
    smtp = {"addr": reserved.place, "from": "a@b.org", "to": ["c@d.org"], "starttls": False}
    said = tmp_path / "said"
    command = ["/bin/sh", "-c", f"cat >> {said}"]
    with (
        redis_server(tmp_path / "redis") as port,
        alertcenter(tmp_path, port, smtp=smtp, command=command, mail_interval_s=1) as running,
    ):
        _, place = running
        send_tcp(place, write_alert("host", "one"))
        until(lambda: said.exists() and "1 x host: [fatal]one" in said.read_text())
        reserved.close()
        controller = Controller(mailbox, hostname="127.0.0.1", port=reserved.port)
        controller.start()
        until(lambda: len(mailbox.mails) == 1)
        controller.stop()
        # The way that worked was not used twice.
        assert said.read_text().count("1 x host") == 1
