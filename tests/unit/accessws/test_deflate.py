"""Compression as an implementation of others understands it."""

import json

import pytest
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.sync.client import connect

from viabtc import _core


@pytest.mark.parametrize("bits", [None, 15, 12, 9, 8])
def test_pythons_websockets_and_the_hub_understand_each_other(bits: int | None) -> None:
    """It is strict: a window that it asks for must be in the answer, and not be left."""
    hub = _core.Hub(["tcp@127.0.0.1:0"], options={"deflate": True})
    try:
        port = hub.addresses[0].rpartition(":")[2]
        offer = ClientPerMessageDeflateFactory(
            server_max_window_bits=bits, client_max_window_bits=True
        )
        with connect(f"ws://127.0.0.1:{port}/", extensions=[offer]) as socket:
            assert [type(one).__name__ for one in socket.protocol.extensions] == [
                "PerMessageDeflate"
            ]
            for size in (1, 1_000, 50_000):
                # What is not known is ignored, so a request may be as long as one likes.
                ping = {"id": size, "method": "server.ping", "params": ["x" * size]}
                socket.send(json.dumps(ping))
                assert json.loads(socket.recv(10))["id"] == size
            subscribe = {"id": 1, "method": "price.subscribe", "params": ["X"]}
            socket.send(json.dumps(subscribe))
            assert json.loads(socket.recv(10))["error"] is None
            before = hub.metrics()["bytes_out_total"]
            for size in (100, 250, 500, 4_000, 5_000, 200_000):
                text = json.dumps(["price", *range(size // 8)])
                hub.publish([("price X", text.encode(), None)])
                assert socket.recv(10) == text
            # Behind the answer to this everything before it is counted.
            socket.send(json.dumps({"id": 2, "method": "server.ping", "params": []}))
            assert json.loads(socket.recv(10))["id"] == 2
            # What a small window does not hold goes as it is.
            is_compressed = hub.metrics()["bytes_out_total"] - before < 100_000
            assert is_compressed == (bits in (None, 15))
    finally:
        hub.stop()
