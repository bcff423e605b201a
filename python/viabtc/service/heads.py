"""HTTP of our apps, with a bound on the head of a request: the framework keeps all that comes."""

from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD_BYTES_MAX: Final = 16 * 1024
"""Bytes of a head that has not ended; what the first read brought is not counted."""

_REASON: Final = b"address and headers are larger than any request needs"
_ANSWER: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: text/plain; charset=utf-8\r\n"
    b"content-length: %d\r\n"
    b"connection: close\r\n"
    b"\r\n"
    b"%b"
) % (len(_REASON), _REASON)


class BoundedHeads(HttpToolsProtocol):
    """Answers 431 to a head without an end, and closes the connection."""

    _is_head = True
    _head_bytes = 0
    _has_begun = False

    def on_message_begin(self) -> None:
        """A request begins."""
        self._is_head = self._has_begun = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its head has ended."""
        self._is_head = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self._has_begun = False
        super().data_received(data)
        if self._is_head and not self._has_begun:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
                # Nothing goes between the pieces of an answer that is on its way.
                # The framework says that there is always a cycle, and begins with none.
                answered: RequestResponseCycle | None = self.cycle
                if answered is None or answered.response_complete:
                    self.transport.write(_ANSWER)
                self.transport.close()
