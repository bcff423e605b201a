"""A proxy that cuts a connection after a number of bytes, whichever way they go."""

import contextlib
import socket
import threading
from typing import Final

from harness.processes import Place

_CHUNK: Final = 65_536


class CuttingProxy:
    """Forwards connections to a place, until a limit that is set for all of them together."""

    def __init__(self, target: Place) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._lock = threading.Lock()
        self._left: int | None = None
        self._open: set[socket.socket] = set()
        self.forwarded = 0
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_after(self, count: int) -> None:
        """Lets `count` more bytes pass, then closes all connections; later ones are whole."""
        with self._lock:
            self._left = count

    def forward_to(self, target: Place) -> None:
        """Forwards connections that come from now on to another place."""
        self._target = target

    def is_armed(self) -> bool:
        """Whether the cut is still to come."""
        return self._left is not None

    def close(self) -> None:
        """Accepts no more, and closes what is open."""
        self._listener.close()
        with self._lock:
            self._close_all()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target, 5)
            except OSError:
                client.close()
                continue
            # The time-out is the connection's alone: a server may be silent for longer.
            server.settimeout(None)
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open |= {client, server}
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._forward, args=(source, sink), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(_CHUNK):
                with self._lock:
                    if self._left is not None and len(data) >= self._left:
                        sink.sendall(data[: self._left])
                        self._left = None
                        self.cuts += 1
                        self._close_all()
                        return
                    if self._left is not None:
                        self._left -= len(data)
                    self.forwarded += len(data)
                    sink.sendall(data)
        except OSError:
            pass
        with self._lock:
            self._close((source, sink))

    def _close_all(self) -> None:
        self._close(tuple(self._open))

    def _close(self, ends: tuple[socket.socket, ...]) -> None:
        for end in ends:
            if end in self._open:
                self._open.discard(end)
                # A shutdown wakes the thread that reads; a close alone does not.
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()
