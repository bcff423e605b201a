"""A service manager for one process: ready, fed, restarted. For machines without systemd.

The child speaks to us as it does to systemd: READY, WATCHDOG, STOPPING on a socket of its own.
"""

import contextlib
import ctypes
import os
import select
import signal
import socket
import struct
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Final

WATCHDOG_S: Final = 2.0
"""A ready child that is silent for this long hangs, and is ended."""

STOP_S: Final = 15.0
"""A child that was asked to stop, and has not within this, is killed."""

_PAUSE_MIN_S: Final = 0.1
_PAUSE_MAX_S: Final = 1.0
"""Before a restart: doubles while children end within a second of their start."""

_SETTLED_S: Final = 1.0

_REPORT_S: Final = 60.0
"""Between two reports of a child that ends again and again: each is an alert."""

_SET_PDEATHSIG: Final = 1
"""Of prctl(2)."""

_CREDENTIALS: Final = struct.Struct("iII")

STOPPERS: Final = (signal.SIGTERM, signal.SIGQUIT)


class Watch:
    """Runs `serve` in a child, again and again, until it ends well or we are stopped.

    Args:
        serve: What the child does; its result is the child's exit code.
        ready: Gets the number of each process that says that it serves.
        report: Gets a sentence for an end that nobody asked for; of a child that ends again and
            again once a minute.
    """

    def __init__(
        self,
        serve: Callable[[], int],
        ready: Callable[[int], None],
        report: Callable[[str], None],
    ) -> None:
        self._serve = serve
        self._ready = ready
        self._report = report
        self._is_stopping = False
        self._reported_s = float("-inf")
        self.is_repeating = False
        """Whether the child that is started now follows one that ended at its start."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        # The system chooses an abstract name; only what the child itself sends counts.
        self._socket.bind("")
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.setblocking(False)  # noqa: FBT003

    def run(self) -> int:
        """Watches; the exit code of the last child."""
        pause_s = _PAUSE_MIN_S
        with self._socket, _signals(self._note) as woken:
            while True:
                begun_s = time.monotonic()
                pid = self._start()
                code = self._until_ended(pid, woken)
                if self._is_stopping or code == 0:
                    return max(code, 0)
                now_s = time.monotonic()
                is_settled = now_s - begun_s > _SETTLED_S
                if is_settled or not self.is_repeating or now_s - self._reported_s >= _REPORT_S:
                    self._reported_s = now_s
                    self._report(f"process {pid} {_how(code)} and is started again")
                self.is_repeating = not is_settled
                pause_s = _PAUSE_MIN_S if is_settled else min(2 * pause_s, _PAUSE_MAX_S)
                select.select([woken], [], [], pause_s)
                if self._is_asked_to_stop():
                    return max(code, 0)

    def _start(self) -> int:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            for number in STOPPERS:
                signal.signal(number, signal.SIG_DFL)
            signal.set_wakeup_fd(-1)
            # Without us nobody would start it again: it ends when we do.
            ctypes.CDLL(None).prctl(_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() == parent:
                os.environ["NOTIFY_SOCKET"] = f"@{self._socket.getsockname()[1:].decode()}"
                os.environ["WATCHDOG_USEC"] = str(int(WATCHDOG_S * 1_000_000))
                os.environ["WATCHDOG_PID"] = str(os.getpid())
                code = self._serve()
        except Exception:  # noqa: BLE001 - nobody above us in this process would say it
            traceback.print_exc()
        finally:
            os._exit(code)

    def _until_ended(self, pid: int, woken: socket.socket) -> int:
        """Waits for the child's end: its exit code, or minus the signal that killed it."""
        end = os.pidfd_open(pid)
        sources: list[int | socket.socket] = [end, self._socket, woken]
        deadline_s: float | None = None
        is_asked = False
        try:
            while True:
                if self._is_stopping and not is_asked:
                    is_asked = True
                    deadline_s = time.monotonic() + STOP_S
                    signal.pidfd_send_signal(end, signal.SIGTERM)
                wait_s = None if deadline_s is None else max(0, deadline_s - time.monotonic())
                readable, _, _ = select.select(sources, [], [], wait_s)
                if end in readable:
                    _, status = os.waitpid(pid, 0)
                    return os.waitstatus_to_exitcode(status)
                if not readable:
                    signal.pidfd_send_signal(end, signal.SIGKILL)
                    deadline_s = None
                    continue
                with contextlib.suppress(BlockingIOError):
                    woken.recv(64)
                words = self._words(pid)
                if "READY=1" in words:
                    self._ready(pid)
                if is_asked or "STOPPING=1" in words:
                    deadline_s = deadline_s if is_asked else time.monotonic() + STOP_S
                    is_asked = True
                elif words & {"READY=1", "WATCHDOG=1"}:
                    deadline_s = time.monotonic() + WATCHDOG_S
        finally:
            os.close(end)

    def _words(self, pid: int) -> set[str]:
        """What the child said; nobody else is heard."""
        words: set[str] = set()
        with contextlib.suppress(BlockingIOError):
            while True:
                data, ancillary, _, _ = self._socket.recvmsg(4096, 256)
                for level, kind, credentials in ancillary:
                    is_sender = level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS
                    if is_sender and _CREDENTIALS.unpack(credentials)[0] == pid:
                        words |= set(data.decode(errors="replace").split("\n"))
        return words

    def _note(self) -> None:
        self._is_stopping = True

    def _is_asked_to_stop(self) -> bool:
        return self._is_stopping


@contextlib.contextmanager
def _signals(note: Callable[[], None]) -> Iterator[socket.socket]:
    """Calls `note` at a stop signal; what is given becomes readable then."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)  # noqa: FBT003
    theirs.setblocking(False)  # noqa: FBT003
    before = {number: signal.signal(number, lambda *_: note()) for number in STOPPERS}
    signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    try:
        yield ours
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in before.items():
            signal.signal(number, handler)
        ours.close()
        theirs.close()


def _how(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
