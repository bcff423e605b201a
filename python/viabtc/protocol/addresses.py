"""Addresses as the original writes them: `tcp@127.0.0.1:7316`, `stream@/run/a.sock`."""

import ipaddress
from typing import Final

PORT_MAX: Final = 65_535

SOCKET_TYPES: Final = ("tcp", "udp", "stream", "dgram", "seqpacket")
"""Types of socket that addresses name."""

_PATH_BYTES_MAX: Final = 107
"""Longest path of a UNIX socket."""

Place = tuple[str, int]
"""Numeric IPv4 host, port."""


def read_place(text: str) -> Place | None:
    """Host and port of `HOST:PORT` or `tcp@HOST:PORT`; None when it is neither."""
    kind, _, place = text.rpartition("@")
    host, _, port = place.rpartition(":")
    number = read_port(port)
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return None
    return (host, number) if number is not None and kind.lower() in {"", "tcp"} else None


def read_port(text: str) -> int | None:
    """A port as C's base-0 parser reads it: decimal, 0x hexadecimal, leading 0 octal."""
    lower = text.lower()
    is_octal = len(lower) > 1 and lower.startswith("0") and lower[1:].isdigit()
    try:
        number = int(lower, 8) if is_octal else int(lower, 0)
    except ValueError:
        return None
    return number if 0 <= number <= PORT_MAX else None


def is_address(text: str, types: tuple[str, ...]) -> bool:
    """Whether a text is `TYPE@PLACE` with one of these types."""
    kind, _, place = text.partition("@")
    if kind.lower() not in types:
        return False
    if kind.lower() in {"tcp", "udp"}:
        return read_place(place) is not None
    return 0 < len(place.encode()) <= _PATH_BYTES_MAX
