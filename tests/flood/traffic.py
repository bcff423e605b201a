"""Good traffic, as a process of its own: steady requests, and how long each was waited for.

`python -m flood.traffic HTTP_PORT RPC_PORT RATE` asks until its standard input ends, then prints
one JSON object: how many failed, and of each request its kind, when it was to be sent by
`time.monotonic`, how long it took to connect, and how long until it was answered, milliseconds.

It is an open loop: each time counts from the intended one, so a stall shows in every request that
it delayed. Orders and queries are asked by a thread each: an order that waits for the disk delays
orders. One request in ten comes over a new connection.
"""

import itertools
import json
import socket
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

HEAD: Final = struct.Struct("<IIHIIIQIH")
MAGIC: Final = 0x70656562
BALANCE_QUERY: Final = 101
TIMEOUT_S: Final = 20.0
FRESH_EVERY: Final = 10


def frame(command: int, sequence: int, body: bytes) -> bytes:
    """A request of the binary RPC."""
    fields = (MAGIC, command, 0, 0, 0, sequence, sequence, len(body), 0)
    checksum = zlib.crc32(HEAD.pack(*fields) + body)
    return HEAD.pack(*fields[:4], checksum, *fields[5:]) + body


def order(user: int, identity: int) -> bytes:
    """An HTTP request for an order that rests."""
    side = 1 + identity % 2
    price = "90000" if side == 1 else "100"
    params = [user, "BTCUSDT", side, "0.01", price, "0.002", "0.001", "good"]
    return post({"method": "order.put_limit", "params": params, "id": identity})


def query(identity: int) -> bytes:
    """A request for a balance by the binary RPC."""
    return frame(BALANCE_QUERY, identity, b'[1, "BTC"]')


def post(document: dict[str, object]) -> bytes:
    """An HTTP request."""
    body = json.dumps(document).encode()
    return b"POST / HTTP/1.1\r\nHost: good\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def answered(connection: socket.socket, request: bytes, identity: int) -> bool:
    """Sends and waits; whether the answer is a success of this request."""
    connection.sendall(request)
    end = b'"id": %d}' % identity
    data = b""
    while not data.endswith(end):
        piece = connection.recv(65536)
        if not piece:
            return False
        data += piece
    return b'"error": null' in data


@dataclass
class Asker:
    """Asks for one kind of request, one after the other."""

    kind: str
    port: int
    rate: float
    """Requests a second."""
    request: Callable[[int], bytes]
    failures: int = 0
    samples: list[tuple[str, float, float, float]] = field(default_factory=list)

    def ask_until(self, stop: threading.Event) -> None:
        place = ("127.0.0.1", self.port)
        started = time.monotonic()
        with socket.create_connection(place, TIMEOUT_S) as kept:
            for index in itertools.count():
                intended = started + index / self.rate
                if stop.wait(max(intended - time.monotonic(), 0.0)):
                    return
                connect_ms = 0.0
                try:
                    if index % FRESH_EVERY == 0:
                        begun = time.monotonic()
                        with socket.create_connection(place, TIMEOUT_S) as connection:
                            connect_ms = (time.monotonic() - begun) * 1e3
                            is_good = answered(connection, self.request(index), index)
                    else:
                        is_good = answered(kept, self.request(index), index)
                except OSError:
                    is_good = False
                self.failures += not is_good
                waited_ms = (time.monotonic() - intended) * 1e3
                self.samples.append((self.kind, intended, connect_ms, waited_ms))


def main() -> None:
    """Asks until told to stop."""
    http_port, rpc_port, rate = (int(argument) for argument in sys.argv[1:4])
    key = time.time_ns()
    with socket.create_connection(("127.0.0.1", http_port), TIMEOUT_S) as connection:
        for asset in ("BTC", "USDT"):
            params: list[object] = [1, asset, "good", key, "1000000000", {}]
            document = {"method": "balance.update", "params": params, "id": key}
            if not answered(connection, post(document), key):
                sys.exit("the deposit was refused")
    askers = (
        Asker("order", http_port, rate / 2, lambda index: order(1, index)),
        Asker(
            "query", rpc_port, rate / 2, lambda index: frame(BALANCE_QUERY, index, b'[1, "BTC"]')
        ),
    )
    stop = threading.Event()
    threads = [threading.Thread(target=asker.ask_until, args=(stop,)) for asker in askers]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    failures = sum(asker.failures for asker in askers)
    samples = [sample for asker in askers for sample in asker.samples]
    print(json.dumps({"failures": failures, "samples": samples}))  # noqa: T201 - read by the test


if __name__ == "__main__":
    main()
