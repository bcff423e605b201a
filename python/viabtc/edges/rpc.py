"""A link to an RPC service: one connection, many calls in flight, opened again when it breaks."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, cast

from viabtc.protocol.addresses import read_place
from viabtc.protocol.frames import HEARTBEAT, FrameError, heartbeat, read_reply, request

HEARTBEAT_INTERVAL_S: Final = 1.0
"""Pause between heartbeats. Source: ut_rpc_clt.c."""

CALLS_MAX: Final = 16_384
"""Calls in flight; above it the service counts as unavailable."""

_SEQUENCE_MAX: Final = 2**32 - 1

REQUEST: Final[ContextVar[int]] = ContextVar("request", default=0)
"""Number of the request that is being served, which the frames of its calls carry (`req_id`)."""


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """The link to one service."""

    addresses: tuple[str, ...]
    max_pkg_size: int
    """Largest answer in bytes."""
    request_bytes_max: int = 10_240
    """Largest request that the service reads, head included."""
    reconnect_timeout_s: float = 1.0
    heartbeat_timeout_s: float = 3.0


class LinkError(Exception):
    """A call without an answer."""


class LinkDownError(LinkError):
    """The service cannot be reached: the call was not sent."""


class LinkTimeoutError(LinkError):
    """No answer came in time, or the link broke: a write may or may not have happened."""


class Link(asyncio.Protocol):
    """Calls a service; `open_link` makes one."""

    def __init__(self, settings: RemoteSettings, timeout_s: float) -> None:
        self._settings = settings
        self._timeout_s = timeout_s
        self._transport: asyncio.WriteTransport | None = None
        self._buffer = bytearray()
        self._unsent = bytearray()
        # Anywhere, so that one names a call among those of all links.
        self._sequence = secrets.randbits(32)
        self._calls: dict[int, asyncio.Future[bytes]] = {}
        self._heard = 0.0
        self._lost = asyncio.Event()

    @property
    def is_connected(self) -> bool:
        """Whether calls can be sent now."""
        return self._transport is not None

    async def call(self, command: int, params: bytes) -> bytes:
        """Sends one call; the body of its reply.

        Raises:
            LinkDownError: it was not sent.
            LinkTimeoutError: nobody knows what became of it.
        """
        if self._transport is None or len(self._calls) >= CALLS_MAX:
            raise LinkDownError
        self._sequence = self._sequence % _SEQUENCE_MAX + 1
        sequence = self._sequence
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[bytes] = loop.create_future()
        self._calls[sequence] = reply
        # Calls of one turn of the loop leave in one write.
        if not self._unsent:
            loop.call_soon(self._send)
        self._unsent += request(command, sequence, REQUEST.get(), params)
        timer = loop.call_later(self._timeout_s, self._expire, sequence)
        try:
            return await reply
        finally:
            timer.cancel()
            self._calls.pop(sequence, None)

    def _send(self) -> None:
        if self._transport is not None and self._unsent:
            self._transport.write(bytes(self._unsent))
        self._unsent.clear()

    def _expire(self, sequence: int) -> None:
        reply = self._calls.pop(sequence, None)
        if reply is not None and not reply.done():
            reply.set_exception(LinkTimeoutError())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        # Streams are; the transports of uvloop only do not say so.
        self._transport = cast("asyncio.WriteTransport", transport)
        self._buffer.clear()
        self._lost.clear()
        self._heard = asyncio.get_running_loop().time()

    def data_received(self, data: bytes) -> None:
        """Hands replies to their calls."""
        self._buffer += data
        start = 0
        try:
            while found := read_reply(self._buffer, start, self._settings.max_pkg_size):
                reply, start = found
                if reply.command == HEARTBEAT:
                    self._heard = asyncio.get_running_loop().time()
                    continue
                waiting = self._calls.get(reply.sequence)
                if waiting is not None and not waiting.done():
                    waiting.set_result(reply.body)
        except FrameError:
            self._close()
        del self._buffer[:start]

    def connection_lost(self, exc: Exception | None) -> None:
        """What is in flight has no answer any more."""
        del exc
        self._transport = None
        self._unsent.clear()
        self._lost.set()
        for sequence in list(self._calls):
            self._expire(sequence)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def keep(self) -> None:
        """Connects, sends heartbeats, and connects again, until it is cancelled."""
        at = 0
        try:
            while True:
                addresses = self._settings.addresses
                with contextlib.suppress(OSError, TimeoutError):
                    async with asyncio.timeout(self._settings.reconnect_timeout_s):
                        await self._connect(addresses[at % len(addresses)])
                    await self._beat()
                at += 1
                if at % len(addresses) == 0:
                    await asyncio.sleep(self._settings.reconnect_timeout_s)
        finally:
            self._close()

    async def _connect(self, address: str) -> None:
        loop = asyncio.get_running_loop()
        kind, _, path = address.partition("@")
        place = read_place(address)
        if kind.lower() == "stream" or place is None:
            await loop.create_unix_connection(lambda: self, path)
        else:
            await loop.create_connection(lambda: self, *place)

    async def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        timeout_s = self._settings.heartbeat_timeout_s
        while self._transport is not None:
            if loop.time() - self._heard > timeout_s:
                self._close()
            else:
                self._transport.write(heartbeat(int(timeout_s * 1000)))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._lost.wait(), HEARTBEAT_INTERVAL_S)


@contextlib.asynccontextmanager
async def open_link(settings: RemoteSettings, timeout_s: float) -> AsyncIterator[Link]:
    """A link that connects by itself while the block runs; calls wait `timeout_s` at most."""
    link = Link(settings, timeout_s)
    task = asyncio.create_task(link.keep())
    try:
        yield link
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
