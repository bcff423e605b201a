"""Load in a process of its own: keeps requests under way over RPC and remembers what was answered.

The process outlives the servers that are killed, so its memory is the log that counts.
"""

import json
import multiprocessing
import random
import selectors
import socket
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from harness.model import ASK, BID, CANCEL, PUT_LIMIT, PUT_MARKET, UPDATE_BALANCE
from harness.processes import Place
from harness.rpc import HEAD, Frame

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

CONNECTIONS: Final = 3
WINDOW: Final = 32
"""Requests under way on each connection."""

USERS: Final = range(1, 9)
MARKET: Final = "BTCUSDT"
ASSETS: Final = ("BTC", "USDT")

REASON: Final = "load"
"""Of every balance update."""

TAKER_FEE: Final = "0.002"
MAKER_FEE: Final = "0.001"


@dataclass
class Entry:
    """A request, and its reply if one came."""

    connection: int
    command: int
    params: list[Any]
    reply: bytes | None = None


@dataclass(frozen=True)
class Job:
    """What to do until the server is gone."""

    place: Place
    seed: int
    number: int
    """First number of new requests; each is used once."""
    resend: list[list[Any]]
    """Balance updates that were sent before: applied or not, each must count once."""
    cancellable: list[tuple[int, int]]
    """User and identity of open orders that nobody has cancelled yet."""
    requests_max: int | None = None
    """Ends by itself after so many; None for when the server ends it."""


@dataclass
class _Lane:
    """A connection."""

    index: int
    socket: socket.socket
    log: list[Entry]
    waiting: deque[Entry] = field(default_factory=deque)
    outgoing: bytearray = field(default_factory=bytearray)
    incoming: bytearray = field(default_factory=bytearray)
    sequence: int = 0

    def put(self, command: int, params: list[Any]) -> None:
        entry = Entry(self.index, command, params)
        self.log.append(entry)
        self.waiting.append(entry)
        self.sequence += 1
        body = json.dumps(params).encode()
        self.outgoing += Frame(command, body, self.sequence, self.sequence).encode()

    def take(self) -> Iterator[Entry]:
        """Entries that the bytes received so far answer."""
        while len(self.incoming) >= HEAD.size:
            size = HEAD.unpack_from(self.incoming)[-2]
            end = HEAD.size + size
            if len(self.incoming) < end:
                return
            entry = self.waiting.popleft()
            entry.reply = bytes(self.incoming[HEAD.size : end])
            del self.incoming[:end]
            yield entry


class _Requests:
    """Draws requests from a seed."""

    def __init__(self, job: Job) -> None:
        self._random = random.Random(job.seed)
        self._number = job.number
        self._resend = deque(job.resend)
        self._open = list(job.cancellable)

    def saw(self, entry: Entry) -> None:
        """Remembers orders that rest."""
        if entry.command == PUT_LIMIT and entry.reply is not None:
            result = json.loads(entry.reply)["result"]
            if result and result["left"] != "0":
                self._open.append((result["user"], result["id"]))

    def draw(self) -> tuple[int, list[Any]]:
        """Command and parameters of the next request."""
        draw = self._random
        if self._resend:
            return UPDATE_BALANCE, self._resend.popleft()
        self._number += 1
        user = draw.choice(USERS)
        kind = draw.random()
        if kind < 0.15:
            change = f"{draw.randrange(-20_000, 100_000)}.{draw.randrange(10_000):04}"
            identity = [user, draw.choice(ASSETS), REASON, self._number]
            return UPDATE_BALANCE, [*identity, change, {"number": self._number}]
        if kind < 0.5 and self._open:
            owner, order = self._open.pop(draw.randrange(len(self._open)))
            return CANCEL, [owner, MARKET, order]
        side = draw.choice((ASK, BID))
        amount = f"0.{draw.randrange(1, 10_000):04}"
        source = f"load-{self._number}"
        if kind < 0.6:
            return PUT_MARKET, [user, MARKET, side, amount, TAKER_FEE, source]
        price = f"{draw.randrange(9_500, 10_500) / 100:.2f}"
        return PUT_LIMIT, [user, MARKET, side, amount, price, TAKER_FEE, MAKER_FEE, source]


def press(job: Job, begun: Callable[[], None]) -> list[Entry]:
    """Sends until every connection has ended, or as much as the job says; all that was sent.

    Args:
        begun: Called once connected, before anything is sent.
    """
    requests = _Requests(job)
    log: list[Entry] = []
    selector = selectors.DefaultSelector()
    for index in range(CONNECTIONS):
        try:
            connection = socket.create_connection(job.place, 1)
        except OSError:
            continue
        connection.settimeout(0)
        selector.register(connection, selectors.EVENT_READ, _Lane(index, connection, log))
    begun()
    while selector.get_map():
        is_enough = job.requests_max is not None and len(log) >= job.requests_max
        for key in list(selector.get_map().values()):
            lane: _Lane = key.data
            while not is_enough and len(lane.waiting) < WINDOW:
                lane.put(*requests.draw())
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if lane.outgoing else 0)
            if is_enough and not lane.waiting:
                _end(selector, lane)
            elif wanted != key.events:
                selector.modify(lane.socket, wanted, lane)
        for key, events in selector.select(1) if selector.get_map() else ():
            _step(selector, key.data, events, requests)
    return log


def _step(selector: selectors.BaseSelector, lane: _Lane, events: int, requests: _Requests) -> None:
    """Moves bytes of a connection that is ready."""
    try:
        if events & selectors.EVENT_WRITE:
            del lane.outgoing[: lane.socket.send(lane.outgoing)]
        if events & selectors.EVENT_READ:
            data = lane.socket.recv(1 << 16)
            lane.incoming += data
            for entry in lane.take():
                requests.saw(entry)
            if not data:
                _end(selector, lane)
    except ConnectionError:
        _end(selector, lane)


def _end(selector: selectors.BaseSelector, lane: _Lane) -> None:
    selector.unregister(lane.socket)
    lane.socket.close()


def _serve(pipe: "Connection[list[Entry] | None, Job | None]") -> None:
    while (job := pipe.recv()) is not None:
        pipe.send(press(job, lambda: pipe.send(None)))


class Load:
    """The process: `begin` a job, and `end` waits for what came of it."""

    def __init__(self, pipe: "Connection[Job | None, list[Entry] | None]") -> None:
        self._pipe = pipe

    def begin(self, job: Job, deadline_s: float = 30.0) -> None:
        """Returns once the process has connected and begins to send."""
        self._pipe.send(job)
        assert self._pipe.poll(deadline_s), f"the load did not begin in {deadline_s} s"
        assert self._pipe.recv() is None

    def is_done(self, within_s: float) -> bool:
        """Whether the job ended within a time."""
        return self._pipe.poll(within_s)

    def end(self, deadline_s: float = 30.0) -> list[Entry]:
        """Everything that was sent."""
        assert self._pipe.poll(deadline_s), f"the load did not end in {deadline_s} s"
        entries = self._pipe.recv()
        assert entries is not None
        return entries


@contextmanager
def loading() -> Iterator[Load]:
    """Starts the process and ends it behind the block."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield Load(mine)
    finally:
        mine.send(None)
        process.join(5)
        process.kill()
        process.join()
