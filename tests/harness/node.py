"""Programs of the tests in JavaScript, with packages of others.

They come from npm's registry into build/node, once.
"""

import fcntl
import shutil
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from harness.places import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES: Final = Path(__file__).with_name("node.package.json")
FOLDER: Final = ROOT / "build" / "node"

DEADLINE_S: Final = 60.0
"""A program runs no longer than this."""


def _install() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    installed = FOLDER / "package.json"
    # Several tests may begin at once.
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if installed.exists() and installed.read_bytes() == PACKAGES.read_bytes():
            return
        fresh = FOLDER / "fresh"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        shutil.copy(PACKAGES, fresh / "package.json")
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock"]
        subprocess.run(command, cwd=fresh, check=True)
        shutil.rmtree(FOLDER / "node_modules", ignore_errors=True)
        (fresh / "node_modules").rename(FOLDER / "node_modules")
        (fresh / "package.json").rename(installed)


@contextmanager
def running(script: Path, *arguments: str) -> "Iterator[subprocess.Popen[str]]":
    """A program that may import the packages, with pipes; ended behind the block."""
    _install()
    program = FOLDER / script.name
    # Packages are looked for beside the program.
    shutil.copy(script, program)
    command = ["node", str(program), *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        # Whoever waits for a line that never comes sees the end of all of them.
        end = threading.Timer(DEADLINE_S, process.kill)
        end.start()
        try:
            yield process
        finally:
            end.cancel()
            process.kill()


def line(stream: IO[str] | None) -> str:
    """The next line of a program's output; empty at its end."""
    assert stream is not None
    return stream.readline().strip()
