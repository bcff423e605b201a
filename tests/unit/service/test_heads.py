"""A head without an end, over a socket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI

from viabtc.service.heads import HEAD_BYTES_MAX
from viabtc.service.run import listen, serving

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

SENT_MAX = 64 << 20
DEADLINE_S = 60.0


@contextlib.asynccontextmanager
async def connection() -> AsyncIterator[Streams]:
    """To an app whose root answers."""
    app = FastAPI()

    @app.get("/")
    async def root() -> str:
        return "here"

    with listen("127.0.0.1", 0, "a test") as sock:
        port = sock.getsockname()[1]
        async with serving(app, sock):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                yield reader, writer
            finally:
                writer.close()


@pytest.mark.parametrize(
    "start", [b"GET /", b"GET / HTTP/1.1\r\nX: ", b"GET / HTTP/1.1\r\n", b"GET"]
)
def test_an_endless_head_is_refused_and_not_kept(start: bytes) -> None:
    async def work() -> bytes:
        async with connection() as (reader, writer):
            writer.write(start)
            sent = 0
            piece = b"X: y\r\n" * 1_000 if start.endswith(b"1.1\r\n") else b"a" * 6_000
            with contextlib.suppress(ConnectionError):
                while not writer.is_closing() and sent < SENT_MAX:
                    writer.write(piece)
                    await writer.drain()
                    sent += len(piece)
                    if reader.at_eof():
                        break
                    # The server's turn, in the same loop.
                    await asyncio.sleep(0)
            assert sent < SENT_MAX
            with contextlib.suppress(ConnectionError):
                return await reader.read()
            return b""

    said = asyncio.run(asyncio.wait_for(work(), DEADLINE_S))
    # A reset may take the answer with it: more was sent than is read.
    assert said == b"" or said.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 "))


def test_a_head_that_is_a_little_too_long_is_told_so() -> None:
    async def work() -> bytes:
        async with connection() as (reader, writer):
            for piece in (b"GET / HTTP/1.1\r\nX: ", b"y" * (HEAD_BYTES_MAX // 2), b"y" * 9_000):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.05)
            return await reader.read()

    assert asyncio.run(asyncio.wait_for(work(), DEADLINE_S)).startswith(b"HTTP/1.1 431 ")


def test_what_comes_in_pieces_and_behind_one_another_is_served() -> None:
    async def work() -> bytes:
        async with connection() as (reader, writer):
            request = b"GET / HTTP/1.1\r\nHost: x\r\nX: %b\r\n\r\n" % (b"y" * 3_000)
            whole = request * 20 + b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"
            for start in range(0, len(whole), 1_999):
                writer.write(whole[start : start + 1_999])
                await writer.drain()
                await asyncio.sleep(0)
            return await reader.read()

    assert asyncio.run(asyncio.wait_for(work(), DEADLINE_S)).count(b"200 OK") == 21
