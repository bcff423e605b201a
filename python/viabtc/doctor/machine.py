"""The machine: its clock, its memory, and how many files a process may open."""

import contextlib
import ctypes
import resource
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from viabtc.doctor.check import OK, SKEW_MAX_S, WARNING, WRONG, Check

_TIME_ERROR: Final = 5
"""What `adjtimex` answers while the clock is not synchronised."""

_TIMEX: Final = struct.Struct("@I5l")
"""Begin of its answer: modes, offset, frequency, largest and estimated error in us, status."""

_TIMEX_BYTES: Final = 256
"""The structure takes 208 bytes."""

_SWAPPINESS_MAX: Final = 10
"""From there on Linux moves memory that is in use to a disk in favour of files."""

_FILES_MIN: Final = 4_096
"""A process that serves connections needs a file for each."""

_OPEN_SHARE_MAX: Final = 0.8

_SYSTEM: Final = Path("/")

SERVERS: Final = ("accesshttp", "accessws", "rest")
"""Services whose connections clients open."""


def clock() -> Check:
    """Whether somebody keeps this machine's time, as the kernel was told, and how well."""
    libc = ctypes.CDLL(None, use_errno=True)
    answer = ctypes.create_string_buffer(_TIMEX_BYTES)
    # All zero asks and sets nothing.
    state = libc.adjtimex(answer)
    _, _, _, error_us, _, _ = _TIMEX.unpack_from(answer)
    if state in (-1, _TIME_ERROR):
        do = "install chrony or systemd-timesyncd: logged times and days follow this clock"
        return Check("machine", "clock", WARNING, "nobody keeps it right", do)
    what = f"is kept right, within {error_us // 1000} ms"
    if error_us > SKEW_MAX_S * 1_000_000:
        do = "let chrony or systemd-timesyncd reach its time servers again"
        return Check("machine", "clock", WARNING, what, do)
    return Check("machine", "clock", OK, what)


def memory(*, has_redis: bool, root: Path = _SYSTEM) -> Iterator[Check]:
    """Large pages, memory on disk, and promises of memory, as far as they hurt what runs here.

    Args:
        has_redis: Whether a Redis that services use is on this machine.
        root: Where `/proc` and `/sys` are.
    """
    pages = _text(root / "sys/kernel/mm/transparent_hugepage/enabled")
    path = "/sys/kernel/mm/transparent_hugepage/enabled"
    if "[always]" in pages and has_redis:
        what = "are given to every process: a Redis that saves stalls, and its memory grows"
        do = f"echo madvise > {path}: the engine asks for them by itself"
        yield Check("machine", "large pages", WARNING, what, do)
    elif "[never]" in pages:
        do = f"echo madvise > {path}"
        what = "are given to nobody: an engine with many orders is slower"
        yield Check("machine", "large pages", WARNING, what, do)
    else:
        yield Check("machine", "large pages", OK, "are given to those that ask for them")
    # The first line names the columns.
    swaps = _text(root / "proc/swaps").splitlines()[1:]
    swappiness = _number(root / "proc/sys/vm/swappiness")
    if swaps and swappiness is not None and swappiness > _SWAPPINESS_MAX:
        what = f"vm.swappiness is {swappiness}: memory that is in use may go to a disk"
        do = "sysctl vm.swappiness=1, or swapoff --all: every answer waits for the engine's memory"
        yield Check("machine", "swap", WARNING, what, do)
    else:
        yield Check("machine", "swap", OK, "is used when nothing else helps" if swaps else "is off")
    promises = _number(root / "proc/sys/vm/overcommit_memory")
    if has_redis and promises is not None and promises != 1:
        what = f"vm.overcommit_memory is {promises}: a Redis with half of the memory cannot save"
        do = "sysctl vm.overcommit_memory=1"
        yield Check("machine", "promises of memory", WARNING, what, do)


def open_files(
    name: str, data: Mapping[str, Any], figures: Mapping[str, float], root: Path = _SYSTEM
) -> Iterator[Check]:
    """Whether a service may open the files that it needs.

    Args:
        name: Of the service.
        data: Its configuration.
        figures: Metrics of the running process; none when it does not run.
        root: Where `/proc` is.
    """
    subject = "open files"
    most, used = figures.get("process_max_fds"), figures.get("process_open_fds")
    if most is not None and used is not None:
        if used > _OPEN_SHARE_MAX * most:
            what = f"{used:.0f} of {most:.0f} are open"
            do = "raise LimitNOFILE of its unit, or process.file_limit of its file, and restart it"
            yield Check(name, subject, WRONG, what, do)
        elif name in SERVERS and most < _FILES_MIN:
            what = f"{most:.0f} may be open, and each connection takes one"
            do = "raise LimitNOFILE of its unit, or process.file_limit of its file, and restart it"
            yield Check(name, subject, WARNING, what, do)
        else:
            yield Check(name, subject, OK, f"{used:.0f} of {most:.0f} are open")
        return
    process = data.get("process")
    wanted = process.get("file_limit", 0) if isinstance(process, dict) else 0
    if not isinstance(wanted, int) or not wanted:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ceiling = _number(root / "proc/sys/fs/nr_open") or hard
    if wanted > ceiling:
        what = f"process.file_limit is {wanted}, and this system lets nobody open over {ceiling}"
        yield Check(name, subject, WRONG, what, f"lower it, or sysctl fs.nr_open={wanted}")
    elif wanted > hard:
        what = f"process.file_limit is {wanted}, and users like this one may open {hard}"
        do = "raise LimitNOFILE of its unit, or the user's limit, unless it starts as root"
        yield Check(name, subject, WARNING, what, do)
    else:
        yield Check(name, subject, OK, f"{wanted} can be opened")


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="ascii", errors="replace")
    return ""


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None
