"""Beside an exchange: a web site that authenticates clients, a front door that lists markets."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Site(BaseHTTPRequestHandler):
    """An exchange's web site: the token `user-N` is user N's."""

    def do_GET(self) -> None:
        token = self.headers["Authorization"]
        body: dict[str, Any] = {"code": 1, "message": "invalid token"}
        if token.startswith("user-"):
            body = {"code": 0, "message": None, "data": {"user_id": int(token[5:])}}
        text = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


class Listing(BaseHTTPRequestHandler):
    """A front door that knows the method `market.list`, as its server's names."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert request["method"] == "market.list", request
        result = [{"name": name} for name in getattr(self.server, "markets", ())]
        text = json.dumps({"error": None, "result": result, "id": request["id"]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


class Markets(ThreadingHTTPServer):
    """The server of a `Listing`."""

    def __init__(self, markets: Sequence[str]) -> None:
        super().__init__(("127.0.0.1", 0), Listing)
        self.markets = markets


@contextmanager
def site() -> Iterator[str]:
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Site)) as address:
        yield address


@contextmanager
def listing(markets: Sequence[str]) -> Iterator[str]:
    """A front door that lists `markets`, and its URL."""
    with serving(Markets(markets)) as address:
        yield address


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[str]:
    """Lets a server answer while the block runs; its URL."""
    with server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            # Also after a failure: its thread would keep a processor, and all tests from ending.
            server.shutdown()
            thread.join()
