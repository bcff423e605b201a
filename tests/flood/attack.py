"""Floods, as a process of its own that gives way to every other.

`python -m flood.attack KIND HTTP_PORT RPC_PORT COUNT SEED` sends COUNT requests or frames that
nobody should send and exits with 1 when an answer is not what it must be. Connections come from
many loopback addresses: those that the server closed keep their source port for a while, and one
address has too few ports.
"""

import contextlib
import json
import os
import random
import resource
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

from flood.traffic import HEAD, MAGIC, frame, post

TIMEOUT_S: Final = 30.0
BATCH: Final = 500
"""Requests of one write."""
SENTINEL: Final = 424_242
"""Id of the last request of a batch, which is answered after all others."""
BIND_WITHOUT_PORT: Final = 24
"""Option IP_BIND_ADDRESS_NO_PORT: the port is chosen when the peer is known."""
COMMANDS: Final = (0xFFFF_FFFF, 1, 101, 102, 104, 105, 201, 202, 203, 204, 205, 206, 207, 301, 307)
SLOW_KINDS: Final = 4
PARTIAL_DEADLINE_S: Final = 45.0
"""By then the server must have closed every connection that owes the rest of a message."""
DRIP_S: Final = 0.5
"""Pause of a client that sends its message byte by byte."""


def connect(port: int, index: int) -> socket.socket:
    """A connection from one of 8,000 source addresses."""
    connection = socket.socket()
    connection.settimeout(TIMEOUT_S)
    connection.setsockopt(socket.IPPROTO_IP, BIND_WITHOUT_PORT, 1)
    connection.bind((f"127.0.{1 + index // 200 % 40}.{1 + index % 200}", 0))
    connection.connect(("127.0.0.1", port))
    return connection


def nonsense(rng: random.Random, depth: int = 0) -> object:
    """A JSON value that somebody might send."""
    scalars: tuple[Callable[[], object], ...] = (
        lambda: None,
        lambda: rng.choice([True, False]),
        lambda: rng.choice([0, -1, 1, 2**31, 2**32, 2**63 - 1, -(2**63)]),
        lambda: rng.choice([0.0, -0.5, 1e308, 5e-324, 1e22]),
        lambda: rng.choice(["", "NaN", "Infinity", "-1", "1e999999999", "0x10", "BTCUSDT", "é\t"]),
        lambda: rng.choice(["9" * 400, "0." + "1" * 400, "\U0001f4a9" * 40, "\\u0000"]),
    )
    if depth < 3 and rng.random() < 0.2:
        if rng.random() < 0.5:
            return [nonsense(rng, depth + 1) for _ in range(rng.randrange(4))]
        return {str(key): nonsense(rng, depth + 1) for key in range(rng.randrange(4))}
    return rng.choice(scalars)()


def params(rng: random.Random) -> bytes:
    """Parameters of the wrong number, types and ranges. No id of a user is valid."""
    rest = [nonsense(rng) for _ in range(rng.randrange(9))]
    return json.dumps([rng.choice([-1, 2**32, 1.5, "1", None, []]), *rest]).encode()


def refused_frames(rpc_port: int, count: int, rng: random.Random) -> None:
    """Whole frames that are answered with errors, as fast as the port takes them."""
    batches = []
    for _ in range(20):
        frames = [frame(rng.choice(COMMANDS), index, params(rng)) for index in range(BATCH - 1)]
        batches.append(b"".join([*frames, frame(101, SENTINEL, b"[-1]")]))
    pipelined(rpc_port, count, batches)


def refused_requests(http_port: int, count: int, rng: random.Random) -> None:
    """Whole HTTP requests that are answered with errors."""
    methods = ("balance.query", "balance.update", "order.put_limit", "order.cancel", "no.such", "")
    batches = []
    for _ in range(20):
        requests = []
        for index in range(BATCH - 1):
            document = {"method": rng.choice(methods), "params": json.loads(params(rng))}
            requests.append(post({**document, "id": index}))
        batches.append(b"".join([*requests, post({"method": "x", "params": [], "id": SENTINEL})]))
    pipelined(http_port, count, batches)


def pipelined(port: int, count: int, batches: list[bytes]) -> None:
    """Sends batches over a few connections and waits for the last answer of each."""
    connections = [connect(port, index) for index in range(4)]
    end = b'"id": %d}' % SENTINEL
    for index in range(count // BATCH):
        connection = connections[index % len(connections)]
        connection.sendall(batches[index % len(batches)])
        tail = b""
        while not tail.endswith(end):
            piece = connection.recv(1 << 18)
            if not piece:
                sys.exit("a connection was closed although every frame on it was whole")
            tail = (tail + piece)[-64:]
    for connection in connections:
        connection.close()


def broken_frames(rpc_port: int, count: int, rng: random.Random) -> None:
    """Bytes that are no frame, or frames whose body is no JSON array: closed without an answer."""

    def head(**fields: int) -> bytes:
        values = {"magic": MAGIC, "command": 101, "kind": 0, "result": 0, "checksum": 0}
        values |= {"sequence": 1, "id": 1, "body": 0, "extension": 0}
        packed: bytes = HEAD.pack(*(values | fields).values())
        return packed

    def flipped() -> bytes:
        whole = bytearray(frame(101, 1, b"[1]"))
        whole[rng.randrange(len(whole) - 3, len(whole))] ^= 1 << rng.randrange(8)
        return bytes(whole)

    makers: tuple[Callable[[], bytes], ...] = (
        lambda: rng.randbytes(64),
        lambda: b"GET / HTTP/1.1\r\nHost: nobody\r\nAccept: */*\r\n\r\n",
        lambda: head(magic=MAGIC + 1),
        lambda: head(body=2**32 - 1, extension=2**16 - 1),
        lambda: head(body=2**32 - 37),
        lambda: head(body=20_000),
        lambda: head(checksum=1),
        flipped,
        lambda: frame(201, 1, b""),
        lambda: frame(201, 1, b"{}"),
        lambda: frame(201, 1, b"[1, 2"),
        lambda: frame(201, 1, b"[" * 5_000),
        lambda: frame(201, 1, b"[" * 129 + b"]" * 129),
        lambda: frame(201, 1, b'["\xff\xfe"]'),
        lambda: frame(0, 1, struct.pack("<HHI", 1, 200, 1)),
    )
    one_each(rpc_port, count, makers, (b"",))


def broken_requests(http_port: int, count: int, rng: random.Random) -> None:
    """Bytes that are no HTTP, and HTTP that asks for nothing: closed, at most with a 400 before."""

    def headed(*lines: str, body: bytes = b"") -> bytes:
        return "\r\n".join(["POST / HTTP/1.1", *lines, "", ""]).encode() + body

    makers: tuple[Callable[[], bytes], ...] = (
        lambda: b"\x16\x03\x01" + rng.randbytes(64),
        lambda: b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        lambda: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        lambda: headed("Content-Length: 10000000000"),
        lambda: headed("Content-Length: -1"),
        lambda: headed("Content-Length: 5", "Content-Length: 6", body=b"hello"),
        lambda: headed("Content-Length: 5", "Transfer-Encoding: chunked", body=b"5\r\nhello\r\n"),
        lambda: headed("Transfer-Encoding: chunked", body=b"ffffffffffffffff\r\n"),
        lambda: headed("Transfer-Encoding: chunked", body=b"zz\r\n"),
        lambda: headed("Content-Length: 4", body=b"null"),
        lambda: headed("Content-Length: 2", body=b"[]"),
        lambda: headed("Content-Length: 9000", body=b"[" * 9000),
        lambda: headed("Content-Length: 9000", body=b'{"a":' * 1800),
        lambda: headed(" X: of no header", "Content-Length: 1"),
    )
    one_each(http_port, count, makers, (b"", b"HTTP/1.1 400 "))


def one_each(
    port: int, count: int, makers: tuple[Callable[[], bytes], ...], allowed: tuple[bytes, ...]
) -> None:
    """A connection for each message; it must be closed by the server, after one of `allowed`."""
    for index in range(count):
        message = makers[index % len(makers)]()
        with connect(port, index) as connection:
            data = b""
            # A reset is a close, too: the server did not read all that was sent.
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                connection.sendall(message)
                while piece := connection.recv(4096):
                    data += piece
            if not any(data.startswith(start) if start else not data for start in allowed):
                sys.exit(f"{message[:100]!r} was answered with {data[:200]!r}")


def huge(http_port: int, rpc_port: int) -> None:
    """Endless heads, bodies, chunks and frames: the server stops reading and closes."""

    def endless(start: bytes) -> Iterator[bytes]:
        yield start
        while True:
            yield b"a" * 65_536

    starts = (
        (http_port, b"POST /"),
        (http_port, b"POST / HTTP/1.1\r\nX: "),
        (http_port, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;"),
        (http_port, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n"),
        (http_port, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: "),
        (rpc_port, b"beep" + b"\xff" * 32),
    )
    for index, (port, start) in enumerate(starts):
        with connect(port, index) as connection:
            sent = 0
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                for piece in endless(start):
                    connection.sendall(piece)
                    sent += len(piece)
                    if sent > 64 << 20:
                        sys.exit(f"the server reads on after {sent} bytes of {start!r}")


def slow(http_port: int, rpc_port: int, count: int) -> None:
    """Connections that say nothing, or stop within a head, a body or a frame, or drip bytes.

    Prints a line when all are open. Those that owe the rest of a message must be closed in time;
    those that never said anything stay and are served.
    """
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n"
    kinds = (
        (http_port, b""),
        (http_port, head),
        (http_port, head + b"\r\n" + b"[" * 4_000),
        (rpc_port, frame(201, 1, b"[" * 4_000)[:2_000]),
    )
    opened: list[tuple[int, socket.socket]] = []
    for index in range(count):
        port, start = kinds[index % SLOW_KINDS]
        connection = connect(port, index)
        connection.sendall(start)
        opened.append((index % SLOW_KINDS, connection))
    print(json.dumps({"open": len(opened)}), flush=True)  # noqa: T201 - read by the test
    deadline = time.monotonic() + PARTIAL_DEADLINE_S
    owing = [connection for kind, connection in opened if kind]
    dripping = [connection for kind, connection in opened if kind == 1][:200]
    for connection in owing:
        connection.settimeout(0.0)
    while owing and time.monotonic() < deadline:
        # One more byte of a head now and then must not buy more time.
        for connection in dripping:
            with contextlib.suppress(OSError):
                connection.send(b"X")
        owing = [connection for connection in owing if not is_closed(connection)]
        time.sleep(DRIP_S)
    if owing:
        sys.exit(f"{len(owing)} connections that owe the rest of a message are still open")
    quiet = [connection for kind, connection in opened if kind == 0]
    for connection in quiet[:: max(len(quiet) // 100, 1)]:
        connection.sendall(post({"method": "asset.list", "params": [], "id": 7}))
        if not connection.recv(4096).startswith(b"HTTP/1.1 200 "):
            sys.exit("a connection that was quiet is not served any more")
    for _, connection in opened:
        connection.close()


def is_closed(connection: socket.socket) -> bool:
    """Whether the server has closed it; what it said before is read over."""
    try:
        while connection.recv(4096):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def main() -> None:
    """Attacks as the command line says."""
    kind = sys.argv[1]
    http_port, rpc_port, count, seed = (int(argument) for argument in sys.argv[2:6])
    rng = random.Random(f"{kind} {seed}")
    # It stands for other machines. Low priority alone is not enough: whoever has it keeps the
    # processor for a slice of 3 to 4 ms when the server is woken up.
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    attacks: dict[str, Callable[[], None]] = {
        "refused-frames": lambda: refused_frames(rpc_port, count, rng),
        "refused-requests": lambda: refused_requests(http_port, count, rng),
        "broken-frames": lambda: broken_frames(rpc_port, count, rng),
        "broken-requests": lambda: broken_requests(http_port, count, rng),
        "huge": lambda: huge(http_port, rpc_port),
        "slow": lambda: slow(http_port, rpc_port, count),
    }
    attacks[kind]()


if __name__ == "__main__":
    main()
