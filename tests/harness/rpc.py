"""The binary RPC spoken byte by byte, written from its description alone."""

import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from harness.processes import Place
from harness.stream import Stream

HEAD: Final = struct.Struct("<IIHIIIQIH")
MAGIC: Final = 0x70656562
HEARTBEAT: Final = 0
REPLY: Final = 1

_CRC: Final = slice(14, 18)


@dataclass(frozen=True)
class Frame:
    """A frame; the checksum and the sizes are computed."""

    command: int
    body: bytes = b""
    sequence: int = 1
    request_id: int = 1
    kind: int = 0
    result: int = 0
    extension: bytes = b""

    def encode(self, body_size: int | None = None) -> bytes:
        """Its bytes; `body_size` is a lie about the size."""
        size = len(self.body) if body_size is None else body_size
        head = (MAGIC, self.command, self.kind, self.result, 0, self.sequence, self.request_id)
        data = HEAD.pack(*head, size, len(self.extension)) + self.extension + self.body
        crc = struct.pack("<I", zlib.crc32(data))
        return data[: _CRC.start] + crc + data[_CRC.stop :]


def decode(data: bytes) -> Frame:
    """The frame of a whole datagram or of a head with all that follows it."""
    magic, command, kind, result, crc, sequence, request_id, size, extension_size = (
        HEAD.unpack_from(data)
    )
    assert magic == MAGIC
    assert len(data) == HEAD.size + extension_size + size
    zeroed = data[: _CRC.start] + bytes(4) + data[_CRC.stop :]
    assert zlib.crc32(zeroed) == crc, "the checksum is wrong"
    at = HEAD.size + extension_size
    return Frame(command, data[at:], sequence, request_id, kind, result, data[HEAD.size : at])


class Client(Stream):
    """One stream connection."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._sequence = 0

    def receive(self) -> Frame | None:
        """The next frame; None when the connection ended without one."""
        try:
            head = self._file.read(HEAD.size)
        except ConnectionError:
            return None
        if not head:
            return None
        size, extension_size = HEAD.unpack(head)[-2:]
        return decode(head + self._file.read(extension_size + size))

    def exchange(self, frame: Frame) -> Frame:
        """Sends a frame and gets its reply, which must echo the head."""
        self.send(frame.encode())
        reply = self.receive()
        assert reply is not None, "closed without a reply"
        assert replace(reply, body=b"") == replace(frame, body=b"", kind=REPLY)
        return reply

    def call(self, command: int, params: Sequence[Any], request_id: int = 1) -> dict[str, Any]:
        """The envelope of a reply."""
        return self.call_text(command, json.dumps(params, ensure_ascii=False), request_id)

    def call_text(self, command: int, params: str, request_id: int = 1) -> dict[str, Any]:
        """The envelope of a reply to params given as JSON text."""
        self._sequence += 1
        frame = Frame(command, params.encode(), self._sequence, request_id)
        document = json.loads(self.exchange(frame).body)
        assert isinstance(document, dict)
        return document

    def result(self, command: int, *params: Any) -> Any:
        """The result of a call that must succeed."""
        document = self.call(command, params)
        assert document["error"] is None, (command, params, document)
        return document["result"]

    def error(self, command: int, *params: Any) -> tuple[int, str]:
        """Code and message of a call that must be refused."""
        document = self.call(command, params)
        assert document["error"] is not None, (command, params, document)
        return document["error"]["code"], document["error"]["message"]
