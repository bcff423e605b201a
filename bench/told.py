"""How soon a user is told of what his order did: one client, one order after the other."""

import json
import socket
import statistics
import time
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import Any, Final

from figures import Bench, Figure, Reading, Target, Unavailable
from servers import Kind, Server
from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.protocol import State
from websockets.uri import parse_uri

from viabtc.service.tokens import open_tokens

USER: Final = 1
PRICE: Final = "1000"
"""Below what anybody sells for: each order rests."""
ANSWER_S: Final = 10.0
"""How long anything may take."""
UPDATES: Final = ("order.update", "asset.update")


class Listener:
    """A user's websocket, read without a thread or an event loop between."""

    def __init__(self, place: str, token: str, market: str, assets: str) -> None:
        self._socket = connected(place)
        self._protocol = ClientProtocol(parse_uri(f"ws://{place}/"))
        self._protocol.send_request(self._protocol.connect())
        self._flush()
        while self._protocol.state is not State.OPEN:
            self._protocol.receive_data(self._socket.recv(65_536))
        # Its answer to the handshake.
        self._protocol.events_received()
        asks = (
            ("server.auth", [token, "bench"]),
            ("order.subscribe", [market]),
            ("asset.subscribe", assets.split(",")),
        )
        for number, (method, params) in enumerate(asks):
            request = {"id": number, "method": method, "params": params}
            self._protocol.send_text(json.dumps(request).encode())
            self._flush()
            answer = next(one for one in self.messages() if one["id"] == number)
            if answer["error"] is not None:
                message = f"{method} was refused: {answer['error']['message']}"
                raise SystemExit(message)

    def messages(self) -> Iterator[Any]:
        """What comes, without an end."""
        while True:
            self._protocol.receive_data(self._socket.recv(65_536))
            for event in self._protocol.events_received():
                if isinstance(event, Frame):
                    yield json.loads(bytes(event.data))

    def close(self) -> None:
        """Hears no more."""
        self._socket.close()

    def _flush(self) -> None:
        self._socket.sendall(b"".join(self._protocol.data_to_send()))


def connected(place: str) -> socket.socket:
    """A connection that sends at once."""
    host, _, port = place.rpartition(":")
    made = socket.create_connection((host, int(port)), ANSWER_S)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def told(bench: Bench, server: Server) -> Reading:
    """From before an order is sent until the last update of each kind that it causes is there."""
    if server.http is None or server.websocket is None or server.tokens is None:
        raise Unavailable
    token = open_tokens(server.tokens).by_name[f"user-{USER}"]
    params = [USER, bench.market, 2, "0.01", PRICE, "0", "0", "bench"]
    body = json.dumps({"id": 1, "method": "order.put_limit", "params": params})
    head = f"POST / HTTP/1.1\r\nHost: {server.http}\r\nContent-Length: {len(body)}\r\n\r\n"
    listener = Listener(server.websocket, token, bench.market, bench.assets)
    door = connected(server.http)
    taken: dict[str, list[float]] = {update: [] for update in UPDATES}
    try:
        messages = listener.messages()
        begin = time.monotonic() + bench.warmup
        while (sent := time.monotonic()) < begin + bench.seconds:
            door.sendall((head + body).encode())
            # Both assets of the market are told, in messages of their own, behind the order.
            waiting = [UPDATES[0], *[UPDATES[1]] * len(bench.assets.split(","))]
            while waiting:
                method = next(messages)["method"]
                waiting.remove(method)
                if method not in waiting and sent >= begin:
                    taken[method].append(time.monotonic() - sent)
            answered(door)
    finally:
        door.close()
        listener.close()
    values = {update: statistics.median(times) * 1_000 for update, times in taken.items()}
    remarks = [f"{len(taken[UPDATES[0]]):,} orders"]
    for update, times in taken.items():
        p99 = statistics.quantiles(times, n=100)[98] * 1_000
        remarks.append(f"`{update}` p99 {p99:.2f} ms")
    return Reading(values, remarks)


def answered(door: socket.socket) -> None:
    """Reads the answer, which must be a success."""
    response = HTTPResponse(door)
    response.begin()
    answer = json.loads(response.read())
    if answer["error"] is not None:
        message = f"an order was refused: {answer['error']['message']}"
        raise SystemExit(message)


TOLD: Final = Figure(
    "ws-told",
    "Websocket",
    Kind.RUN,
    "one user's order to its `order.update` and `asset.update`, p50 of one client",
    {update: Target(1.5, "ms", is_minimum=False) for update in UPDATES},
    told,
)
