"""An engine that is given no more memory ends, and loses nothing that it acknowledged."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from harness.configs import small_config
from harness.places import ROOT
from viabtc import _core

TIMEOUT_S: Final = 240.0


@pytest.mark.parametrize("spare_mib", [1, 3, 8, 20])
def test_an_engine_without_memory_ends_and_loses_nothing_acknowledged(
    tmp_path: Path, spare_mib: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "crash.confined_life", str(tmp_path), str(spare_mib << 20)],
        cwd=ROOT / "tests",
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    acknowledged = len(done.stdout.split())
    print(f"ended after {acknowledged} deposits")  # noqa: T201 - the figure is the point
    assert done.returncode == -signal.SIGABRT, done.stderr
    assert "memory allocation of " in done.stderr
    assert acknowledged > 0
    # On the disk as it is now, with the memory that it wants.
    engine = _core.Engine(json.dumps(small_config()), str(tmp_path), durability="async")
    # The last one may be in the journal although nobody was told.
    assert acknowledged <= engine.status()["sequence"] <= acknowledged + 1
    assert engine.audit()["ok"]
    assert engine.stop()
