"""A stream connection that tests write bytes to and read bytes from."""

import socket
from types import TracebackType
from typing import Final, Self

from harness.processes import Place

TIMEOUT_S: Final = 10.0
"""For each connect, send and receive."""


class Stream:
    """One connection."""

    def __init__(self, place: Place) -> None:
        self.socket = socket.create_connection(place, TIMEOUT_S)
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)
