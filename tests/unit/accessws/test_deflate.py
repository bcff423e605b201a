"""Compression as an implementation of others understands it."""

import json

from websockets.sync.client import connect

from viabtc import _core


def test_pythons_websockets_and_the_hub_understand_each_other() -> None:
    hub = _core.Hub(["tcp@127.0.0.1:0"], options={"deflate": True})
    try:
        port = hub.addresses[0].rpartition(":")[2]
        with connect(f"ws://127.0.0.1:{port}/") as socket:
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
            for size in (100, 5_000, 200_000):
                text = json.dumps(["price", *range(size // 8)])
                hub.publish([("price X", text.encode(), None)])
                assert socket.recv(10) == text
            assert hub.metrics()["bytes_out_total"] - before < 100_000, "it was compressed"
    finally:
        hub.stop()
