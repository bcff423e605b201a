"""The listener: records up to the bound, and connections that end in any way are over."""

import asyncio
import errno
import socket
import time
from collections.abc import Callable

import pytest

from viabtc.alertcenter import listener
from viabtc.alertcenter.listener import Counters, listening
from viabtc.protocol.alert import MARK

BYTES_MAX = 64
DEADLINE_S = 20.0


async def until(is_so: Callable[[], object]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < end, "did not come true"
        await asyncio.sleep(0.005)


def record(size: int) -> bytes:
    """A record of so many bytes, with its end."""
    return MARK + b"x" * (size - len(MARK) - 1) + b"\n"


def test_a_record_of_the_largest_size_is_taken_and_one_byte_more_ends_the_connection() -> None:
    async def run() -> list[str]:
        taken: list[str] = []
        async with listening(("tcp@127.0.0.1:0",), BYTES_MAX, taken.append, Counters()) as bound:
            host, port = bound[0].partition("@")[2].split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(record(BYTES_MAX) + record(BYTES_MAX + 1) + record(30))
            assert await asyncio.wait_for(reader.read(), DEADLINE_S) == b""
            writer.close()
        return taken

    assert [len(text) for text in asyncio.run(run())] == [BYTES_MAX - len(MARK) - 1]


def test_connections_whose_peer_is_gone_make_room_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listener, "CONNECTIONS_MAX", 2)
    read = asyncio.StreamReader.readuntil
    gone = 3

    async def lose(reader: asyncio.StreamReader, separator: bytes) -> bytes:
        nonlocal gone
        if gone:
            gone -= 1
            # What the system says of a machine that does not answer any more.
            raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")
        return await read(reader, separator)

    monkeypatch.setattr(asyncio.StreamReader, "readuntil", lose)

    async def run() -> list[str]:
        taken: list[str] = []
        async with listening(("tcp@127.0.0.1:0",), BYTES_MAX, taken.append, Counters()) as bound:
            host, port = bound[0].partition("@")[2].split(":")
            while gone:
                reader, writer = await asyncio.open_connection(host, int(port))
                assert await asyncio.wait_for(reader.read(), DEADLINE_S) == b""
                writer.close()
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(record(30))
            await until(lambda: taken)
            writer.close()
        return taken

    assert len(asyncio.run(run())) == 1


def test_a_datagram_is_one_alert_and_only_its_first_line_counts() -> None:
    async def run() -> tuple[list[str], Counters]:
        taken: list[str] = []
        counters = Counters()
        async with listening(("udp@127.0.0.1:0",), BYTES_MAX, taken.append, counters) as bound:
            host, port = bound[0].partition("@")[2].split(":")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for packet in (MARK + b"one\r\ntwo\n", MARK + b"cut", b"bad\n" + MARK + b"x\n"):
                    sender.sendto(packet, (host, int(port)))
            await until(lambda: counters.received + counters.refused == 3)
        return taken, counters

    taken, counters = asyncio.run(run())
    assert taken == ["one", "cut"]
    assert counters.refused == 1
