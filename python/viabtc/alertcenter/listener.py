"""Alert lines in: tcp and udp, never answered. Source: ac_server.c."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Final

from viabtc.protocol.addresses import read_place
from viabtc.protocol.alert import read_alert, read_datagram
from viabtc.service.failure import StartFailure

Take = Callable[[str], None]

RECEIVE_BYTES: Final = 4 << 20
"""Datagrams that may wait in the system while this process does something else."""

_RECEIVE_BUFFER_FORCE: Final = 33
"""SO_RCVBUFFORCE of Linux."""

CONNECTIONS_MAX: Final = 1_000
"""Open at once; services send datagrams, so these are few."""


class Counters:
    """What came."""

    def __init__(self) -> None:
        self.received = 0
        self.refused = 0


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, take: Take, counters: Counters, bytes_max: int) -> None:
        self._take = take
        self._counters = counters
        self._bytes_max = bytes_max

    def datagram_received(self, data: bytes, addr: object) -> None:
        """One alert, or nothing that counts."""
        del addr
        alert = read_datagram(data[: self._bytes_max])
        if alert is None:
            self._counters.refused += 1
        else:
            self._counters.received += 1
            self._take(alert)


@contextlib.asynccontextmanager
async def listening(
    addresses: tuple[str, ...], bytes_max: int, take: Take, counters: Counters
) -> AsyncIterator[list[str]]:
    """Listens while the block runs; gives the addresses as bound.

    Raises:
        StartFailure: an address cannot be used.
    """
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        try:
            # A record that is too long or none at all ends the connection.
            with contextlib.suppress(asyncio.LimitOverrunError, EOFError, OSError):
                while connections <= CONNECTIONS_MAX and (line := await reader.readuntil(b"\n")):
                    alert = read_alert(line)
                    if alert is None:
                        counters.refused += 1
                        break
                    counters.received += 1
                    take(alert)
        finally:
            connections -= 1
            writer.close()

    loop = asyncio.get_running_loop()
    bound = []
    async with contextlib.AsyncExitStack() as stack:
        for address in addresses:
            kind = address.partition("@")[0].lower()
            host, port = read_place(address.partition("@")[2]) or ("", 0)
            try:
                if kind == "udp":
                    transport, _ = await loop.create_datagram_endpoint(
                        lambda: _Datagrams(take, counters, bytes_max), (host, port)
                    )
                    stack.callback(transport.close)
                    _widen(transport.get_extra_info("socket"))
                    name = transport.get_extra_info("sockname")
                else:
                    # The limit does not count the line's end.
                    server = await asyncio.start_server(talk, host, port, limit=bytes_max - 1)
                    stack.callback(server.close)
                    name = server.sockets[0].getsockname()
            except OSError as error:
                raise StartFailure(
                    f"cannot listen on {address}: {error.strerror}",
                    "stop the process that listens there, or change svr.bind",
                ) from error
            bound.append(f"{kind}@{name[0]}:{name[1]}")
        yield bound


def _widen(sock: socket.socket) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, _RECEIVE_BUFFER_FORCE, RECEIVE_BYTES)
    except OSError:
        # Only the administrator may pass the system's limit.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
