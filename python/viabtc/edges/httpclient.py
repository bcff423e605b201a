"""JSON-RPC over HTTP: one connection that stays open, any number of requests under way.

The server answers in the order of the requests, so a request is matched with the next answer and
checked by its `id`.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

_ANSWER_BYTES_MAX: Final = 64 << 20
"""A larger answer ends the connection; the longest list of the protocol has 101 entries."""

_HTTP_OK: Final = 200


class DoorError(Exception):
    """The connection is of no further use; what was under way may have been carried out."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: `result`, or the code and message of an error."""

    id: int | None
    """The request's; None when the server could not read it."""
    result: Any
    code: int | None = None
    message: str = ""


class Door:
    """An open connection; `connect` makes one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = writer.get_extra_info("peername")[:2]
        self._head = f"POST / HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: ".encode()
        self._reader = reader
        self._writer = writer
        self._waiting: deque[tuple[int, Callable[[Answer | DoorError], None]]] = deque()
        self._fault: DoorError | None = None
        self._last_id = 0

    def send(
        self, method: str, params: list[Any], then: Callable[[Answer | DoorError], None]
    ) -> None:
        """Sends a request; `then` gets the answer, or why there will be none.

        Raises:
            DoorError: the connection is gone, and nothing was sent.
        """
        if self._fault is not None:
            raise self._fault
        self._last_id += 1
        request = {"method": method, "params": params, "id": self._last_id}
        body = msgspec.json.encode(request)
        self._waiting.append((self._last_id, then))
        self._writer.write(b"%b%d\r\n\r\n%b" % (self._head, len(body), body))

    async def call(self, method: str, *params: Any) -> Answer:
        """Sends a request and waits for its answer.

        Raises:
            DoorError: there will be none.
        """
        future: asyncio.Future[Answer | DoorError] = asyncio.get_running_loop().create_future()

        def then(outcome: Answer | DoorError) -> None:
            if not future.done():
                future.set_result(outcome)

        self.send(method, list(params), then)
        outcome = await future
        if isinstance(outcome, DoorError):
            raise outcome
        return outcome

    async def read(self) -> None:
        """Reads answers until the connection ends, then tells everyone who waits."""
        try:
            while True:
                await self._read_one()
        except (OSError, EOFError, asyncio.LimitOverrunError, ValueError, LookupError) as error:
            reason = str(error) or type(error).__name__
            self._end(DoorError(f"the connection to the front door ended: {reason}"))
        except DoorError as error:
            self._end(error)

    async def _read_one(self) -> None:
        head = await self._reader.readuntil(b"\r\n\r\n")
        status, size = _read_head(head)
        if size > _ANSWER_BYTES_MAX:
            raise DoorError(f"an answer has {size} bytes, more than {_ANSWER_BYTES_MAX}")
        body = await self._reader.readexactly(size)
        answer = _answer(status, body)
        if not self._waiting:
            raise DoorError("the front door answered what was not asked")
        wanted, then = self._waiting.popleft()
        if answer.id not in {wanted, None}:
            raise DoorError(f"answer {answer.id} came where {wanted} was due")
        then(answer)

    def _end(self, fault: DoorError) -> None:
        self._fault = fault
        while self._waiting:
            _, then = self._waiting.popleft()
            then(fault)


def _read_head(head: bytes) -> tuple[int, int]:
    """Status and length of the body."""
    first, *lines = head.split(b"\r\n")
    status = int(first.split(b" ", 2)[1])
    for line in lines:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return status, int(value)
    raise DoorError("the front door did not say how long its answer is")


def _answer(status: int, body: bytes) -> Answer:
    document = msgspec.json.decode(body) if body else {}
    error = document.get("error")
    if error is not None and "id" not in document:
        raise DoorError(f"this is no front door: {error}")
    if error is not None:
        return Answer(document.get("id"), None, int(error["code"]), str(error["message"]))
    if status != _HTTP_OK:
        raise DoorError(f"the front door answered with HTTP status {status}")
    return Answer(document["id"], document["result"])


@contextlib.asynccontextmanager
async def connect(host: str, port: int) -> AsyncIterator[Door]:
    """Opens a connection and closes it behind the block.

    Raises:
        OSError: nobody listens there.
    """
    reader, writer = await asyncio.open_connection(host, port)
    door = Door(reader, writer)
    task = asyncio.create_task(door.read())
    try:
        yield door
    finally:
        writer.close()
        await task
