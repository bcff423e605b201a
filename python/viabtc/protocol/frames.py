"""Frames of the binary RPC: 36 bytes of head, then ext, then body. Source: ut_rpc.c.

| offset | bytes | field |
| ---: | ---: | --- |
| 0 | 4 | magic |
| 4 | 4 | command |
| 8 | 2 | kind: 0 request, 1 reply |
| 10 | 4 | result |
| 14 | 4 | crc32 of the frame with this field zero |
| 18 | 4 | sequence |
| 22 | 8 | request id |
| 30 | 4 | bytes of body |
| 34 | 2 | bytes of ext |
"""

import struct
import zlib
from dataclasses import dataclass
from typing import Final

HEAD: Final = struct.Struct("<IIHIIIQIH")

HEARTBEAT: Final = 0
"""Command of a heartbeat."""

_MAGIC: Final = 0x70656562
_REQUEST: Final = 0
_CRC: Final = slice(14, 18)
_HEARTBEAT_ITEM: Final = struct.Struct("<HHI")
_HEARTBEAT_TIMEOUT: Final = 1
"""Type of the only item that a heartbeat knows."""


class FrameError(Exception):
    """Bytes that are no frame: the connection cannot be used any more."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A frame that answers."""

    command: int
    sequence: int
    body: bytes


def request(command: int, sequence: int, request_id: int, body: bytes) -> bytes:
    """A request as bytes."""
    head = HEAD.pack(_MAGIC, command, _REQUEST, 0, 0, sequence, request_id, len(body), 0)
    crc = zlib.crc32(body, zlib.crc32(head))
    return head[: _CRC.start] + crc.to_bytes(4, "little") + head[_CRC.stop :] + body


def heartbeat(timeout_ms: int) -> bytes:
    """A heartbeat that asks the server to wait `timeout_ms` for the next."""
    return request(HEARTBEAT, 0, 0, _HEARTBEAT_ITEM.pack(_HEARTBEAT_TIMEOUT, 4, timeout_ms))


def read_reply(buffer: bytearray, start: int, bytes_max: int) -> tuple[Reply, int] | None:
    """The frame at `start` and where it ends; None when it is not whole yet.

    Raises:
        FrameError: it is no frame, larger than `bytes_max`, or damaged.
    """
    if len(buffer) - start < HEAD.size:
        return None
    magic, command, _, _, crc, sequence, _, body_bytes, ext_bytes = HEAD.unpack_from(buffer, start)
    if magic != _MAGIC:
        raise FrameError("it does not start with the magic number")
    end = start + HEAD.size + ext_bytes + body_bytes
    if end - start > bytes_max:
        raise FrameError(f"a frame of {end - start} bytes is above the limit of {bytes_max}")
    if len(buffer) < end:
        return None
    frame = bytearray(buffer[start:end])
    frame[_CRC] = b"\0\0\0\0"
    if zlib.crc32(frame) != crc:
        raise FrameError("its checksum does not fit")
    return Reply(command, sequence, bytes(frame[HEAD.size + ext_bytes :])), end
