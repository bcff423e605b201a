"""The Autobahn suite itself against our hub, where a Python 2.7 can run it.

By default all of sections 1 to 7, 9 and 10, and of the compressed ones, of a thousand
messages each, some; `VIABTC_AUTOBAHN=all` plays all of those, in some twenty minutes.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from harness import autobahn
from harness.places import ROOT

FRAMING: Final = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"]
FRAMING_CASES: Final = 301

COMPRESSED: Final = ["12.*", "13.*"]
COMPRESSED_CASES: Final = 216

SOME: Final = [
    *(f"12.{data}.{size}" for data in range(1, 6) for size in (1, 5)),
    *(f"13.{offer}.{size}" for offer in range(1, 8) for size in (1, 5)),
    # Large, and it does not shrink.
    "12.2.9",
]
"""Of the compressed ones."""

PASSED: Final = {"OK", "NON-STRICT", "INFORMATIONAL"}

DEADLINE_S: Final = 300.0
ALL_DEADLINE_S: Final = 3_600.0


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    """The place of a hub that sends every message back."""
    command = ["cargo", "run", "--quiet", "--profile", "test", "--package", "viabtc-gateway"]
    command += ["--example", "websocket_echo", "--", "127.0.0.1:0"]
    autobahn.client()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert address.startswith("tcp@"), address
            yield address.removeprefix("tcp@")
        finally:
            process.terminate()


def failed(outcomes: autobahn.Outcomes) -> autobahn.Outcomes:
    passed = {f"{case}, closed {closing}" for case in PASSED for closing in PASSED}
    return {number: outcome for number, outcome in outcomes.items() if outcome not in passed}


def test_every_case_of_the_framing_ends_as_the_suite_wants(echo: str, tmp_path: Path) -> None:
    outcomes = autobahn.play(echo, FRAMING, tmp_path, DEADLINE_S)
    assert failed(outcomes) == {}
    assert len(outcomes) == FRAMING_CASES


def test_compressed_messages_come_back_whole(echo: str, tmp_path: Path) -> None:
    is_all = os.environ.get("VIABTC_AUTOBAHN") == "all"
    cases = COMPRESSED if is_all else SOME
    outcomes = autobahn.play(echo, cases, tmp_path, ALL_DEADLINE_S if is_all else DEADLINE_S)
    assert failed(outcomes) == {}
    assert len(outcomes) == (COMPRESSED_CASES if is_all else len(SOME))
