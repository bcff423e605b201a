"""HTTP spoken byte by byte, so that tests decide what a client sends and see what comes."""

import json
from dataclasses import dataclass
from typing import Any

from harness.processes import Place
from harness.stream import Stream


@dataclass(frozen=True)
class Response:
    """A whole answer."""

    status: int
    headers: dict[str, str]
    """By lower-case name."""
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


class Connection(Stream):
    """One connection to a front door."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._last_id = 0

    def receive(self) -> Response | None:
        """The next answer; None when the connection was closed without one."""
        first = self._file.readline()
        if not first:
            return None
        headers = {}
        while (line := self._file.readline()) != b"\r\n":
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        body = self._file.read(int(headers["content-length"]))
        return Response(int(first.split()[1]), headers, body)

    def is_closed(self) -> bool:
        """Whether the other side closes without a further byte."""
        try:
            return self._file.read(1) == b""
        except ConnectionError:
            return True

    def post(self, body: bytes) -> Response:
        self.send(post(body))
        response = self.receive()
        assert response is not None, "closed without an answer"
        return response

    def call(self, method: str, *params: Any) -> dict[str, Any]:
        """The envelope of an answered call."""
        self._last_id += 1
        request = {"method": method, "params": list(params), "id": self._last_id}
        response = self.post(json.dumps(request, ensure_ascii=False).encode())
        document = response.document
        assert isinstance(document, dict)
        assert document["id"] == self._last_id
        return document

    def result(self, method: str, *params: Any) -> Any:
        """The result of a call that must succeed."""
        document = self.call(method, *params)
        assert document["error"] is None, (method, params, document)
        return document["result"]

    def error(self, method: str, *params: Any) -> tuple[int, str]:
        """Code and message of a call that must be refused."""
        document = self.call(method, *params)
        assert document["error"] is not None, (method, params, document)
        assert document["result"] is None
        return document["error"]["code"], document["error"]["message"]


def post(body: bytes, *headers: str) -> bytes:
    """A request with this body."""
    lines = ["POST / HTTP/1.1", "Host: test", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body
