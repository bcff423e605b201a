"""An exchange's web site that authenticates clients."""

import json
import threading
from collections.abc import Iterator
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


@contextmanager
def site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()
