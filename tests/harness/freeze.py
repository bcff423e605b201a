"""Stops one thread of a process, and only that: `freeze.py PID THREAD`, as ptrace(2) does.

`every` stops all of them: nobody is left whom a signal other than SIGKILL could end. Says "frozen",
and ends with the process. Runs in the box with what its Python has.
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
        if name == "every" or name == ("main" if path.name == pid else comm(path))
    ]
    if not wanted or (name != "every" and len(wanted) > 1):
        sys.exit(f"{len(wanted)} threads are named {name}")
    libc = ctypes.CDLL(None, use_errno=True)
    for thread in wanted:
        for request in (SEIZE, INTERRUPT):
            if libc.ptrace(request, thread, None, None) != 0:
                raise OSError(ctypes.get_errno(), "ptrace")
        os.waitpid(thread, WALL)
    print("frozen", flush=True)  # noqa: T201 - whoever started us waits for it
    while True:
        thread, status = os.waitpid(-1, WALL)
        is_over = os.WIFEXITED(status) or os.WIFSIGNALED(status)
        if is_over and thread in {wanted[0], int(pid)}:
            return


def comm(path: Path) -> str:
    """The name of a thread."""
    return (path / "comm").read_text().strip()


if __name__ == "__main__":
    main(*sys.argv[1:])
