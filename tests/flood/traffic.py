"""Good traffic, as a process of its own: steady requests, and how long each was waited for.

`python -m flood.traffic HTTP_PORT RPC_PORT RATE` asks until its standard input ends, then prints
one JSON object. It is an open loop: each latency counts from the intended time, so a stall shows in
every request that it delayed. One request in ten comes over a new connection.
"""

import itertools
import json
import select
import socket
import struct
import sys
import time
import zlib
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


def main() -> None:
    """Asks until told to stop."""
    http_port, rpc_port, rate = (int(argument) for argument in sys.argv[1:4])
    door, rpc = ("127.0.0.1", http_port), ("127.0.0.1", rpc_port)
    kept = socket.create_connection(door, TIMEOUT_S), socket.create_connection(rpc, TIMEOUT_S)
    key = time.time_ns()
    for asset in ("BTC", "USDT"):
        params: list[object] = [1, asset, "good", key, "1000000000", {}]
        document = {"method": "balance.update", "params": params, "id": key}
        if not answered(kept[0], post(document), key):
            sys.exit("the deposit was refused")
    latencies_ms: dict[str, list[float]] = {"order": [], "query": []}
    failures = 0
    started = time.perf_counter()
    for index in itertools.count():
        intended = started + index / rate
        pause = max(intended - time.perf_counter(), 0.0)
        if select.select([sys.stdin], [], [], pause)[0]:
            break
        is_http, is_fresh = index % 2 == 0, index % FRESH_EVERY < 2
        request = order(1, index) if is_http else frame(BALANCE_QUERY, index, b'[1, "BTC"]')
        try:
            if is_fresh:
                with socket.create_connection(door if is_http else rpc, TIMEOUT_S) as connection:
                    is_good = answered(connection, request, index)
            else:
                is_good = answered(kept[0 if is_http else 1], request, index)
        except OSError:
            is_good = False
        failures += not is_good
        waited_ms = (time.perf_counter() - intended) * 1e3
        latencies_ms["order" if is_http else "query"].append(waited_ms)
    for connection in kept:
        connection.close()
    report: dict[str, object] = {"failures": failures}
    for kind, values in latencies_ms.items():
        values.sort()
        parts = {f"p{part}": values[len(values) * part // 100] for part in (50, 99)}
        report[kind] = {"count": len(values), "max": values[-1], **parts}
    print(json.dumps(report))  # noqa: T201 - read by the test


if __name__ == "__main__":
    main()
