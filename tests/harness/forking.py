"""Services of ours that start in milliseconds: forked from a process that has imported everything.

`python -m harness.forking` imports what a service needs, opens nothing and starts no thread. For
each request on its standard input it forks a child, which runs the service from its file with the
`main` that the command line runs, standard output and standard error in a file. What is saved is
what Python takes to import modules and to compile patterns.
"""

import contextlib
import gc
import importlib
import inspect
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NoReturn

from harness.processes import Running
from viabtc.cli import load_service
from viabtc.service import logs, run
from viabtc.service.auditlog import open_audit_log
from viabtc.service.control import build_control

MODULES: Final = (
    "anyio._backends._asyncio",
    "pydantic.v1",
    "viabtc.matchengine.main",
    "uvloop",
    "uvicorn.lifespan.off",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.websockets.auto",
)
"""What `viabtc matchengine` imports from its start until it is ready."""

END_DEADLINE_S: Final = 10.0


class Forking:
    """The process that forks."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def spawn(self, arguments: Sequence[str], output: Path) -> Running:
        """Starts a service from its file, given as `harness.processes.spawn` takes it."""
        return Forked(self, self.ask(arguments=list(arguments), output=str(output)))

    def ask(self, **request: object) -> int:
        """Sends a request; the number that answers it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


class Forked(Running):
    """A forked process, handled as one that was started: its id stays its own until `wait`."""

    def __init__(self, forking: Forking, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._forking = forking
        self._handle = os.pidfd_open(pid)

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._handle], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("viabtc", timeout or 0)
            os.close(self._handle)
            self.returncode = self._forking.ask(pid=self.pid)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            signal.pidfd_send_signal(self._handle, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@contextlib.contextmanager
def forking() -> Iterator[Forking]:
    """Starts the process that forks and ends it behind the block; children are the caller's."""
    process = subprocess.Popen(
        [sys.executable, "-m", "harness.forking"],
        cwd=Path(__file__).parent.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        try:
            yield Forking(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(END_DEADLINE_S)


def become(arguments: list[str], output: str) -> NoReturn:
    """In a child: the service, to its end."""
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (file, 1), (file, 2)):
        os.dup2(source, target)
    os.close(file)
    os.close(nothing)
    name, path = arguments
    sys.exit(run.main(load_service(name), Path(path)))


def main() -> None:
    for name in MODULES:
        importlib.import_module(name)
    # FastAPI compiles patterns when the first app is built and when the first request comes.
    written = logs.set_up("none", logs.TERMINAL)
    build_control("none", run.Part(), written, open_audit_log(Path("audit"), written.log))
    inspect.getsource(build_control)
    gc.freeze()
    for line in sys.stdin:
        request = json.loads(line)
        if "pid" in request:
            _, status = os.waitpid(request["pid"], 0)
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = os.fork()
            if answer == 0:
                become(**request)
        print(answer, flush=True)  # noqa: T201 - read by who asked


if __name__ == "__main__":
    main()
