"""Alert lines: a mark, then who says what. Source: ac_server.c, ut_log.c."""

from typing import Final

MARK: Final = b"373d26968a5a2b698045"
"""What every alert begins with; it is no secret."""

ALERT_BYTES_MAX: Final = 10_240
"""Of a datagram; what is longer is cut."""


def write_alert(host: str, text: str) -> bytes:
    """An alert as one datagram; line breaks of `text` become blanks."""
    line = " ".join(text.splitlines())
    alert = MARK + f"{host}: [fatal]{line}\n".encode()
    if len(alert) <= ALERT_BYTES_MAX:
        return alert
    cut = alert[: ALERT_BYTES_MAX - 1].decode(errors="ignore").encode()
    return cut + b"\n"


def read_alert(line: bytes) -> str | None:
    """The text behind the mark of a line (without its end); None when it is no alert."""
    line = line.removesuffix(b"\n").removesuffix(b"\r")
    if len(line) < len(MARK) or not line.startswith(MARK):
        return None
    return line[len(MARK) :].decode(errors="replace")


def read_datagram(packet: bytes) -> str | None:
    """The alert of a datagram: its first line, also when it was cut before its end."""
    return read_alert(packet.split(b"\n", 1)[0])
