"""Calls to the real system that fail, each in turn, in every part of an engine's life."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from harness.configs import small_config
from harness.places import ROOT
from viabtc import _core

CALLS: Final = ("pwrite64", "fdatasync", "fsync", "rename", "ftruncate", "unlink", "flock")
"""What changes files or makes changes durable; nothing else in the process calls them."""

EXIT_OK: Final = 0
EXIT_REFUSED: Final = 1
EXIT_JOURNAL: Final = 74

STEP: Final = int(os.environ.get("VIABTC_SYSCALL_STEP") or 3)
"""1 lets every call fail, N each N-th."""

TRIES_MAX: Final = 200
TIMEOUT_S: Final = 120.0


def live(data: Path, trace: Path, fault: str | None) -> "subprocess.CompletedProcess[str]":
    """A short life under the tracer, which lets calls fail."""
    command = [sys.executable, "-m", "crash.short_life", str(data)]
    if fault is not None:
        tracer = ["strace", "-f", "--seccomp-bpf", "-qq", "-o", str(trace)]
        command = [*tracer, "-e", "trace=" + fault.split(":")[0], "-e", f"inject={fault}", *command]
    return subprocess.run(
        command,
        cwd=ROOT / "tests",
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def deposits(data: Path) -> int:
    """How many deposits an engine finds that starts on a disk that works."""
    if not data.exists():
        return 0
    engine = _core.Engine(json.dumps(small_config()), str(data))
    found = engine.status()["sequence"]
    assert engine.audit()["ok"]
    assert engine.stop()
    return int(found)


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize("call", CALLS)
def test_whatever_call_fails_the_outcome_is_an_error_or_right(
    tmp_path: Path, call: str, error: str
) -> None:
    """EIO comes once, as from a disk; ENOSPC stays, as on a full one.

    The tracer counts the calls of each thread by itself: the N-th of every thread fails.
    """
    failed = 0
    for number in range(1, TRIES_MAX, STEP):
        data, trace = tmp_path / str(number), tmp_path / "trace"
        when = f"{number}" if error == "EIO" else f"{number}+"
        done = live(data, trace, f"{call}:error={error}:when={when}")
        if "INJECTED" not in trace.read_text():
            assert done.returncode == EXIT_OK, done.stderr
            break
        failed += 1
        what = f"{call} {number} with {error}: {done.returncode}, {done.stderr}"
        assert done.returncode in {EXIT_OK, EXIT_REFUSED, EXIT_JOURNAL}, what
        if done.returncode == EXIT_JOURNAL:
            assert re.search("viabtc: .* What to do: ", done.stderr), what
        acknowledged = len(done.stdout.split())
        # The last one may be on the disk although nobody was told.
        assert acknowledged <= deposits(data) <= acknowledged + 1, what
        shutil.rmtree(data, ignore_errors=True)
    else:
        raise AssertionError(f"more than {TRIES_MAX} calls of {call}")
    print(f"{failed} failures of {call} with {error}")  # noqa: T201 - the figure is the point
    assert failed > 0
