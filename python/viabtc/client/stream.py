"""One connection to the stream, made again whenever it ends.

Channels go on from where they stood when the server still knows what was missed, else they begin
again with a snapshot; a number or a checksum that does not fit makes a channel begin again, too.
"""

import asyncio
import contextlib
import itertools
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from viabtc.client.book import Book
from viabtc.client.errors import RefusedError, StreamError
from viabtc.contract.channels import CHANNELS, PATH

MESSAGES_MAX: Final = 1_024
"""Messages that wait for who iterates; above it nothing is read from the server."""

_BYTES_MAX: Final = 16 * 1024 * 1024
"""Largest message of a server."""

_REQUEST_CHANNELS_MAX: Final = 32
"""The server takes no more in a request."""

_RETRY_MIN_S: Final = 0.2
_RETRY_MAX_S: Final = 5.0
"""Pauses between attempts double from the one to the other."""

_ANSWER_S: Final = 10.0
"""How long an answer may take."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a channel tells; its number has been checked."""

    channel: str
    sequence: int
    is_snapshot: bool
    """The whole as of this number, in the place of everything before."""
    data: Any


@dataclass(slots=True)
class _Standing:
    """Where a channel stands."""

    stream: str
    sequence: int


class StreamClient:
    """Numbered channels of a server, as an asynchronous iterator of messages.

    Args:
        url: Such as `ws://127.0.0.1:8090`.
        token: Says whose private channels are shown.
    """

    def __init__(self, url: str, *, token: str | None = None) -> None:
        self.figures: Counter[str] = Counter()
        """`connects`, and `restarts` of channels whose numbers or checksums did not fit."""
        self._url = url.rstrip("/") + PATH
        self._token = token
        self._standings: dict[str, _Standing | None] = {}
        """Of all channels that are wanted."""
        self._books: dict[str, Book] = {}
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._messages: asyncio.Queue[Message | RefusedError] = asyncio.Queue(MESSAGES_MAX)
        self._socket: ClientConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._greeting: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Connects for the first time.

        Raises:
            OSError, websockets.exceptions.InvalidHandshake: there is no such server.
            RefusedError: the token is not valid.
        """
        socket = await self._open()
        self._task = asyncio.create_task(self._run(socket))
        try:
            await self._greet()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connection."""
        tasks = [task for task in (self._greeting, self._task) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._socket is not None:
            await self._socket.close()

    async def subscribe(self, *channels: str) -> None:
        """Adds channels; each tells its snapshot first. A request has room for 32 of them.

        Raises:
            RefusedError: there is no such channel, or it needs a token; those of requests before
                the refused one are there.
        """
        # Before the call: the first messages come right behind its answer.
        new = [channel for channel in channels if channel not in self._standings]
        self._standings.update(dict.fromkeys(new))
        taken = 0
        try:
            for part in _parts(channels):
                await self._call("subscribe", part)
                taken += len(part)
        except RefusedError:
            for channel in set(new).difference(channels[:taken]):
                self._standings.pop(channel, None)
            raise

    async def unsubscribe(self, *channels: str) -> None:
        """Ends channels."""
        for channel in channels:
            self._standings.pop(channel, None)
            self._books.pop(channel, None)
        for part in _parts(channels):
            await self._call("unsubscribe", part)

    def book(self, market: str) -> Book:
        """The book of a market as of the last message; empty before the first."""
        return self._books.setdefault(f"book:{market}", Book())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        """The next message.

        Raises:
            RefusedError: a channel turned out not to exist, or the token ended: then private
                channels are not wanted any more, and the others go on.
            StreamError: the client is closed.
        """
        if self._task is None:
            message = "the client is not open"
            raise StreamError(message)
        waiting = asyncio.ensure_future(self._messages.get())
        await asyncio.wait({waiting, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            waiting.cancel()
            if self._task.cancelled():
                raise StopAsyncIteration
            message = f"what the server says cannot be read: {self._task.exception()}"
            raise StreamError(message)
        found = waiting.result()
        if isinstance(found, RefusedError):
            raise found
        return found

    async def _open(self) -> ClientConnection:
        socket = await connect(self._url, max_size=_BYTES_MAX)
        self._socket = socket
        self.figures["connects"] += 1
        return socket

    async def _run(self, socket: ClientConnection) -> None:
        """Reads; connects again when a connection ends."""
        while True:
            with contextlib.suppress(ConnectionClosed):
                async for text in socket:
                    await self._take(json.loads(text))
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(StreamError("the connection ended before the answer"))
            self._answers.clear()
            socket = await self._reconnect()
            self._greeting = asyncio.create_task(self._greet_again(socket))

    async def _reconnect(self) -> ClientConnection:
        pause_s = _RETRY_MIN_S
        while True:
            # Not all at once: everybody lost the same server.
            await asyncio.sleep(pause_s * random.uniform(0.5, 1))
            with contextlib.suppress(OSError, InvalidHandshake, TimeoutError):
                return await self._open()
            pause_s = min(2 * pause_s, _RETRY_MAX_S)

    async def _greet(self) -> None:
        """Says who this is, and goes on with every channel."""
        if self._token is not None:
            await self._call("auth", [self._token])
        wanted = [self._wish(channel) for channel in self._standings]
        for part in _parts(wanted):
            await self._call("subscribe", part)

    async def _greet_again(self, socket: ClientConnection) -> None:
        try:
            try:
                await self._greet()
            except RefusedError as error:
                self._become_nobody()
                await self._messages.put(error)
                await self._greet()
        except RefusedError as error:
            await self._messages.put(error)
        except StreamError:
            # Without an answer nothing would come: another connection may do better.
            await socket.close()

    def _become_nobody(self) -> None:
        """Wants nothing any more that a token is needed for."""
        self._token = None
        for channel in list(self._standings):
            kind = CHANNELS.get(channel.partition(":")[0])
            if kind is not None and kind.is_private:
                del self._standings[channel]

    def _wish(self, channel: str) -> Any:
        standing = self._standings[channel]
        if standing is None:
            return channel
        return {"channel": channel, "stream": standing.stream, "after": standing.sequence}

    async def _call(self, method: str, params: list[Any]) -> Any:
        if self._socket is None:
            message = "the client is not open"
            raise StreamError(message)
        number = next(self._ids)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        try:
            await self._ask(number, method, params)
            return await asyncio.wait_for(answer, _ANSWER_S)
        except (ConnectionClosed, TimeoutError) as error:
            message = f"{method} got no answer: {error}"
            raise StreamError(message) from error
        finally:
            self._answers.pop(number, None)

    async def _ask(self, number: int, method: str, params: list[Any]) -> None:
        if self._socket is not None:
            await self._socket.send(json.dumps({"id": number, "method": method, "params": params}))

    async def _take(self, document: dict[str, Any]) -> None:
        if "channel" not in document:
            self._answered(document)
        elif document["type"] == "error":
            self._standings.pop(document["channel"], None)
            error = document["error"]
            problem = f"{document['channel']}: {error['message']}"
            await self._messages.put(RefusedError(error["code"], problem))
        elif document["channel"] in self._standings:
            await self._told(document)

    def _answered(self, document: dict[str, Any]) -> None:
        answer = self._answers.pop(document["id"], None)
        if answer is None or answer.done():
            return
        if document["error"] is None:
            answer.set_result(document["result"])
        else:
            answer.set_exception(
                RefusedError(document["error"]["code"], document["error"]["message"])
            )

    async def _told(self, document: dict[str, Any]) -> None:
        channel, stream, sequence = (document[name] for name in ("channel", "stream", "sequence"))
        is_snapshot = document["type"] == "snapshot"
        standing = self._standings[channel]
        if not is_snapshot:
            if standing is None:
                # What was on its way when the channel was told to begin again.
                return
            if (stream, sequence) != (standing.stream, standing.sequence + 1):
                await self._restart(channel)
                return
        if channel.startswith("book:"):
            book = self._books.setdefault(channel, Book())
            if not book.apply(document["data"], is_whole=is_snapshot):
                await self._restart(channel)
                return
        self._standings[channel] = _Standing(stream, sequence)
        await self._messages.put(Message(channel, sequence, is_snapshot, document["data"]))

    async def _restart(self, channel: str) -> None:
        self.figures["restarts"] += 1
        self._standings[channel] = None
        # Nobody waits for these answers: the snapshot is one.
        await self._ask(next(self._ids), "unsubscribe", [channel])
        await self._ask(next(self._ids), "subscribe", [channel])


def _parts(channels: Sequence[Any]) -> Iterator[list[Any]]:
    """As many requests as are needed for these channels."""
    for start in range(0, len(channels), _REQUEST_CHANNELS_MAX):
        yield list(channels[start : start + _REQUEST_CHANNELS_MAX])
