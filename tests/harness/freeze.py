"""Stops one thread of a process, and only that: `freeze.py PID THREAD`, as ptrace(2) does.

Says "frozen", and ends with the process. Runs in the box with what its Python has.
"""

import ctypes
import os
import sys
from pathlib import Path

SEIZE, INTERRUPT = 0x4206, 0x4207
WALL = 0x40000000


def main(pid: str, name: str) -> None:
    threads = [path for path in Path(f"/proc/{pid}/task").iterdir() if path.name.isdigit()]
    wanted = [
        int(path.name)
        for path in threads
        if (path.name == pid if name == "main" else (path / "comm").read_text().strip() == name)
    ]
    libc = ctypes.CDLL(None, use_errno=True)
    (thread,) = wanted
    for request in (SEIZE, INTERRUPT):
        if libc.ptrace(request, thread, None, None) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")
    os.waitpid(thread, WALL)
    print("frozen", flush=True)  # noqa: T201 - whoever started us waits for it
    while True:
        _, status = os.waitpid(thread, WALL)
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
