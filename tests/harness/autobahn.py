"""The fuzzing client of the Autobahn suite: every case of the RFCs against a websocket server.

It is a program in Python 2.7, which Debian has no longer. Where there is one, the suite comes from
PyPI into build/autobahn, once; elsewhere `gateway/tests/websocket_frames.rs` has the same cases.
"""

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from harness.places import ROOT

FOLDER: Final = ROOT / "build" / "autobahn"

SUITE: Final = "autobahntestsuite==0.8.2"
"""The last version that Python 2.7 runs."""

VIRTUALENV: Final = "virtualenv==20.15.1"
"""The last version that makes an environment of Python 2.7."""

INSTALL_DEADLINE_S: Final = 300.0

Outcomes = dict[str, str]
"""By the number of a case, as in the report."""


def _python() -> str | None:
    """The first Python 2.7 that runs; a version manager's name for it may not."""
    versions = Path(os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv"))) / "versions"
    installed = sorted(map(str, versions.glob("2.7.*/bin/python2.7")))
    for python in (shutil.which("python2.7"), *installed):
        if python is not None:
            asked = subprocess.run([python, "-c", "import ssl"], capture_output=True, check=False)
            if asked.returncode == 0:
                return python
    return None


def client() -> Path:
    """The program `wstest`; skips the test where there is no Python 2.7 to run it."""
    python = _python()
    if python is None:
        pytest.skip("no Python 2.7: gateway/tests/websocket_frames.rs has the suite's cases")
    FOLDER.mkdir(parents=True, exist_ok=True)
    program = FOLDER / "environment" / "bin" / "wstest"
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            tool = FOLDER / "virtualenv"
            pip = ("-m", "pip", "--quiet", "--disable-pip-version-check", "install")
            _run(python, *pip, f"--target={tool}", "--upgrade", VIRTUALENV)
            environment = program.parents[1]
            _run(python, "-m", "virtualenv", "--quiet", str(environment), PYTHONPATH=str(tool))
            _run(str(environment / "bin" / "python"), *pip, SUITE)
    return program


def play(place: str, cases: Sequence[str], folder: Path, deadline_s: float) -> Outcomes:
    """Plays cases against a server that echoes; how each ended.

    Args:
        place: Of the server, `HOST:PORT`.
        cases: Their numbers, with `*` for all of a section.
        folder: For the report.
        deadline_s: All have ended by then.
    """
    settings = folder / "settings.json"
    report = folder / "report"
    server = {"agent": "viabtc", "url": f"ws://{place}"}
    wanted = {"outdir": str(report), "servers": [server], "cases": list(cases)}
    settings.write_text(json.dumps({**wanted, "exclude-cases": [], "exclude-agent-cases": {}}))
    subprocess.run(
        [str(client()), "--mode", "fuzzingclient", "--spec", str(settings)],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=deadline_s,
    )
    index = json.loads((report / "index.json").read_text())["viabtc"]
    return {
        number: f"{case['behavior']}, closed {case['behaviorClose']}"
        for number, case in index.items()
    }


def _run(*command: str, **environment: str) -> None:
    subprocess.run(
        command,
        check=True,
        timeout=INSTALL_DEADLINE_S,
        env={**os.environ, "PYTHONWARNINGS": "ignore", **environment},
    )
