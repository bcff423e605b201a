"""A network between services that swallows what they send, as a cable does that is pulled out."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from harness.places import ROOT

UNSHARE: Final = ("unshare", "--map-root-user", "--net")
"""Gives a command a network of its own, whose loopback nobody else uses."""

TIMEOUT_S: Final = 300.0


@pytest.fixture
def own_network() -> None:
    """Skips where the system gives nobody a network of their own."""
    if shutil.which("nft") is None:
        pytest.fail("nft is missing: run tests/install.sh", pytrace=False)
    if subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("the system allows no networks of one's own: no packets can be dropped")


@pytest.mark.usefixtures("own_network")
def test_dropped_packets_end_a_connection_on_both_sides_and_it_comes_back(tmp_path: Path) -> None:
    done = subprocess.run(
        [*UNSHARE, sys.executable, "-m", "crash.cut_network", str(tmp_path)],
        cwd=ROOT / "tests",
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    print(done.stdout)  # noqa: T201 - the figures are the point
    assert done.returncode == 0, done.stderr
