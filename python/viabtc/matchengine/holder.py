"""Who this process is in leases, and which holders are known to be dead.

Whoever writes from a data directory holds the lock of the file `holders` in it and leaves its name
there. So once the lock is ours, everybody who is named there has ended, and a lease that one of
them left behind need not run out first.

A copy of the directory proves nothing, since the engine that it was copied from may still write. A
name therefore counts only in the very file that it was written into: its device, its inode, and
the machine, which a name begins with.
"""

import contextlib
import fcntl
import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from viabtc.edges.store import Holder
from viabtc.service.failure import StartFailure

FILE: Final = "holders"

_NAMES_MAX: Final = 64
"""Starts that are remembered: more than that many without a database in between wait again."""


@contextlib.contextmanager
def open_holder(data: Path) -> Iterator[Holder]:
    """A name for this process, and its dead predecessors, while the block runs.

    Predecessors are empty when another process writes from `data`: the engine's start says so.

    Raises:
        StartFailure: `data` cannot be made, or nothing can be written there.
    """
    machine = socket.gethostname()
    name = f"{machine}:{os.getpid()}:{secrets.token_hex(4)}"
    try:
        data.mkdir(parents=True, exist_ok=True)
        opened = (data / FILE).open("a+")
    except OSError as error:
        raise StartFailure(
            f"cannot use the data directory {data}: {error.strerror}",
            "choose a directory that this user may write; a link must lead to one that is there",
        ) from error
    with opened as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield Holder(name)
            return
        about = os.fstat(file.fileno())
        place = f"{about.st_dev}:{about.st_ino}"
        file.seek(0)
        entries = [line.partition(" ") for line in file.read(1 << 16).splitlines()]
        dead = [
            one for one, _, where in entries if where == place and one.startswith(f"{machine}:")
        ][-_NAMES_MAX:]
        # Not synced: after a crash of the machine the leases have run out before it is back.
        file.truncate(0)
        file.write("".join(f"{one} {place}\n" for one in (*dead, name)))
        file.flush()
        yield Holder(name, frozenset(dead))
