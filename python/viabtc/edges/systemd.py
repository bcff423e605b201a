"""Messages to the service manager: ready, alive, stopping. Source: sd_notify(3)."""

import os
import socket
from typing import Final

READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1\nWATCHDOG_USEC=60000000"
"""From here on the time that the unit allows for a stop bounds us, and no longer the watchdog."""
WATCHDOG: Final = "WATCHDOG=1"


def notify(*messages: str) -> None:
    """Sends messages; does nothing when no service manager listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.connect(address)
        sender.send("\n".join(messages).encode())


def watchdog_interval_s() -> float | None:
    """How often the service manager wants to hear from us; None when it does not."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    is_for_us = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(microseconds) / 1e6 / 3 if microseconds.isdigit() and is_for_us else None
