"""The servers that are measured: ours, started here, and any other that runs already."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
START_S: Final = 60.0
"""How long a server may take to listen."""
STOP_S: Final = 30.0
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


@dataclass
class Server:
    """One that is measured."""

    name: str
    rpc: str | None
    http: str | None
    pid: int | None = None

    def cpu_s(self) -> float | None:
        """Processor time that it has used, when it is ours."""
        if self.pid is None:
            return None
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def output_of(arguments: list[str], environment: dict[str, str] | None = None) -> str:
    """What a program prints; it must succeed."""
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"{' '.join(arguments)} failed ({done.returncode}):\n{done.stdout}{done.stderr}"
        raise SystemExit(message)
    return done.stdout


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses just now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def our_server(config: Path | None) -> Iterator[Server]:
    """`viabtc run` on free ports, with a data directory of its own."""
    data = Path(tempfile.mkdtemp(prefix="viabtc-bench-"))
    http, rest, rpc, console = free_ports(4)
    arguments = [str(ROOT / ".venv" / "bin" / "viabtc"), "run", "--data", str(data / "data")]
    places = (("--http", http), ("--rest", rest), ("--rpc", rpc), ("--console", console))
    for option, port in places:
        arguments += [option, f"127.0.0.1:{port}"]
    if config is not None:
        arguments += ["--config", str(config)]
    with (data / "log").open("w") as log:
        process = subprocess.Popen(arguments, stdout=log, stderr=log)
    try:
        wait_for_port(rpc, process, data / "log")
        yield Server("viabtc", f"127.0.0.1:{rpc}", f"127.0.0.1:{http}", process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(data, ignore_errors=True)


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until somebody listens there."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    message = f"the server does not serve:\n{log.read_text()}"
    raise SystemExit(message)
