"""Ways into a server that the tests do not have: its part is played packet by packet."""

import asyncio
import struct

import asyncmy.auth
import pytest

from viabtc.edges.mysql import MysqlSettings, connect
from viabtc.edges.store import StoreError

GREETING = (
    b"\x0a8.4.0\0"
    + struct.pack("<I8sxHBHHB10x", 1, b"saltsalt", 0xFFFF, 45, 2, 0xFFFF, 21)
    + b"saltsaltsalt\0caching_sha2_password\0"
)
"""Protocol 10, without TLS. Source: MySQL's page of the handshake packet."""

FULL_AUTHENTICATION, PUBLIC_KEY = b"\x01\x04", b"\x01-----BEGIN PUBLIC KEY-----"


class Mysql8:
    """A server that has not seen the account since its start, and wants the whole password."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def send(number: int, payload: bytes) -> None:
            writer.write(struct.pack("<I", len(payload))[:3] + bytes([number]) + payload)

        async def receive() -> bytes:
            head = await reader.readexactly(4)
            return await reader.readexactly(int.from_bytes(head[:3], "little"))

        send(0, GREETING)
        await receive()
        send(2, FULL_AUTHENTICATION)
        assert await receive() == b"\x02"
        send(4, PUBLIC_KEY)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        self.ended.set()


def test_an_account_that_needs_another_package_is_refused_in_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asyncmy.auth, "_have_cryptography", False)

    async def test() -> None:
        mysql = Mysql8()
        async with await asyncio.start_server(mysql.serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(StoreError, match="caching_sha2_password") as failure:
                await connect(MysqlSettings("127.0.0.1", port, "viabtc", "secret", "trade_log"))
            assert "install viabtc[mysql8]" in str(failure.value)
            assert failure.value.retriable
            async with asyncio.timeout(30):
                await mysql.ended.wait()

    asyncio.run(test())
