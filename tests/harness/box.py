"""A machine in a box: a real systemd in private namespaces, installed as the manual says."""

import contextlib
import ctypes
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from harness.places import ROOT

DEADLINE_S: Final = 60.0
"""For anything to come true in the box."""

HOME: Final = "/root/viabtc"
"""Where an operator has put the wheel and the folder `deploy`."""

SBOM: Final = "build/page.cyclonedx.json"
"""What of the page's library is in the wheel, as the Makefile makes it."""

WHEELS: Final = "/root/wheels"
"""What the wheel needs: nothing in the box reaches a package index."""

_ENVIRONMENT: Final = (
    *("env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    *("HOME=/root", "LANG=C.UTF-8", f"PIP_FIND_LINKS={WHEELS}", "PIP_NO_INDEX=1"),
    "PIP_DISABLE_PIP_VERSION_CHECK=1",
)
"""An operator's shell, and not the test's."""

_APT_GET: Final = """#!/bin/sh
# The box reaches no archive: packages that a step installs must be there already.
for package; do
    case "$package" in install|-*) continue;; esac
    dpkg-query -W -f '${db:Status-Status}\\n' "$package" | grep -qx installed || {
        echo "$package is not installed: add it to tests/install.sh" >&2; exit 1; }
done
"""

_CLONE_NEWNET: Final = 0x40000000
"""Of Linux: the network namespace."""

_LOOK_S: Final = 0.02

FREEZE: Final = Path(__file__).with_name("freeze.py")


class Box:
    """A booted systemd."""

    def __init__(self, tool: Path, folder: Path, copies: list[str]) -> None:
        self._tool = str(tool)
        self._folder = folder
        self._environment = {**os.environ, "BOX": str(folder), "BOX_COPY": " ".join(copies)}

    def up(self) -> None:
        """Boots it."""
        booted = self._call("up")
        assert booted.returncode == 0, booted.stdout + booted.stderr
        # As a machine has it, and the box does not: credentials are mounted beside the service.
        self.run("mount", "--make-rshared", "/")
        self.write("/usr/local/bin/apt-get", _APT_GET)
        self.run("chmod", "+x", "/usr/local/bin/apt-get")

    def down(self) -> None:
        """Ends it and everything in it."""
        self._call("down")

    @contextlib.contextmanager
    def network(self) -> Iterator[None]:
        """The sockets of this thread, and of threads that it starts, are the box's meanwhile."""
        libc = ctypes.CDLL(None, use_errno=True)
        pid = (self._folder / "pid").read_text().strip()
        with Path("/proc/thread-self/ns/net").open("rb") as ours:
            with Path(f"/proc/{pid}/ns/net").open("rb") as inside:
                assert libc.setns(inside.fileno(), _CLONE_NEWNET) == 0, ctypes.get_errno()
            try:
                yield
            finally:
                assert libc.setns(ours.fileno(), _CLONE_NEWNET) == 0, ctypes.get_errno()

    def run(self, *command: str, text: str | None = None) -> str:
        """Runs a command inside; what it prints. It must succeed."""
        done = self._call("exec", *_ENVIRONMENT, *command, text=text)
        if done.returncode != 0:
            pytest.fail(f"{command}: {done.stdout}{done.stderr}\n{self.log()}", pytrace=False)
        return done.stdout

    def step(self, commands: str) -> str:
        """Runs the lines of a shell as an operator does, up to the first that fails."""
        return self.run("bash", "-euo", "pipefail", "-c", f"cd {HOME}\n{commands}")

    def write(self, path: str, text: str) -> None:
        """Makes a file inside."""
        self.run("tee", path, text=text)

    def read(self, path: str) -> str:
        """The text of a file inside."""
        return self.run("cat", path)

    def log(self) -> str:
        """The ends of the journal and of the services' own logs."""
        show = "journalctl -n 60 --no-pager; tail -n 12 /var/log/private/viabtc/*/*.log"
        return self._call("exec", "sh", "-c", show).stdout

    def show(self, unit: str, key: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", unit, f"--property={key}", "--value").strip()

    def is_active(self, unit: str) -> bool:
        """Whether a unit has said that it is ready, and still runs."""
        return self.show(unit, "ActiveState") == "active"

    def until(self, is_so: Callable[[], bool], what: str) -> None:
        """Waits for a condition; a service that does not answer yet does not fulfil it."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            with contextlib.suppress(OSError, EOFError):
                if is_so():
                    return
            if time.monotonic() > deadline:
                pytest.fail(f"{what} did not come true in {DEADLINE_S} s\n{self.log()}")
            time.sleep(_LOOK_S)

    @contextlib.contextmanager
    def frozen(self, pid: str, thread: str) -> Iterator[None]:
        """One thread of a process stands still meanwhile, or `every`; the others go on."""
        command = [self._tool, "exec", *_ENVIRONMENT, "python3", "-c", FREEZE.read_text()]
        with subprocess.Popen(
            [*command, pid, thread], env=self._environment, stdout=subprocess.PIPE, text=True
        ) as freezer:
            assert freezer.stdout is not None
            assert freezer.stdout.readline() == "frozen\n", f"{pid} has no thread {thread}"
            try:
                yield
            finally:
                freezer.kill()

    def _call(self, *arguments: str, text: str | None = None) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [self._tool, *arguments],
            env=self._environment,
            input=text or "",
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )


def steps(document: str, section: str) -> list[str]:
    """The blocks of commands of a section of a Markdown document, in order."""
    found: list[str] = []
    is_inside = is_block = False
    for line in document.splitlines():
        if line.startswith("## "):
            is_inside = line == f"## {section}"
        is_code = line.startswith("    ")
        if is_inside and is_code:
            if is_block:
                found[-1] += f"\n{line[4:]}"
            else:
                found.append(line[4:])
        # An empty line does not end a block, as Markdown has it; a text does.
        is_block = is_code or (is_block and not line)
    return found


def make_wheels(folder: Path) -> Path:
    """A folder with our wheel (that of VIABTC_WHEEL, or a new one) and with all that it needs."""
    given = os.environ.get("VIABTC_WHEEL")
    if not given:
        # As `make wheel` does, into a folder of its own.
        subprocess.run(["make", "--silent", SBOM], cwd=ROOT, check=True)
        build = [str(ROOT / ".venv" / "bin" / "maturin"), "build", "--quiet", "--release"]
        build += ["--out", str(folder / "dist"), "--sbom-include", SBOM]
        subprocess.run(build, cwd=ROOT, check=True)
    (wheel,) = [Path(given)] if given else (folder / "dist").glob("*.whl")
    pip = [str(ROOT / ".venv" / "bin" / "pip"), "download", "--quiet"]
    pip += ["--disable-pip-version-check", "--dest", str(folder / "wheels")]
    subprocess.run([*pip, str(wheel)], check=True)
    return folder / "wheels"
