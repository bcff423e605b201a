"""The full number of kills, in parts, and the document that says what came of them."""

import dataclasses
import json
import platform
import random
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from crash.killing import Killing, Tally, until
from harness.load import loading
from harness.places import ROOT

DOCUMENT = ROOT / "docs" / "reliability" / "kills.md"
PROGRESS = DOCUMENT.with_suffix(".json")
"""What was seen so far, so that the next part goes on, also elsewhere."""

KILLS_PER_DIRECTORY = 250
"""A data directory grows, and with it the time that each check takes."""


def prove_kills(kills: int, minutes: int) -> bool:
    """Runs one part of at most so many minutes; whether all kills are done now.

    Raises:
        AssertionError: something did not hold; the document says what, and with which seed.
    """
    deadline = time.monotonic() + 60 * minutes
    done = json.loads(PROGRESS.read_text()) if PROGRESS.exists() else {}
    while done.get("kills", 0) < kills and time.monotonic() < deadline:
        seed = random.SystemRandom().randrange(2**32)
        count = min(KILLS_PER_DIRECTORY, kills - done.get("kills", 0))
        begun = time.monotonic()
        with tempfile.TemporaryDirectory() as directory, loading() as load:
            killing = Killing(Path(directory), load, seed)
            failure = None
            try:
                killing.run(until(count, deadline - begun))
            except AssertionError as error:
                failure = f"VIABTC_SEED={seed}: {error}"
                raise
            finally:
                _add(done, killing.tally, time.monotonic() - begun)
                _write(done, kills, failure)
        print(f"{done['kills']} of {kills} kills, {done['acknowledged']} acknowledged")  # noqa: T201
    return bool(done.get("kills", 0) >= kills)


def _add(done: dict[str, Any], tally: Tally, seconds: float) -> None:
    for name, value in {**dataclasses.asdict(tally), "seconds": round(seconds)}.items():
        done[name] = done.get(name, 0) + value


def _write(done: dict[str, Any], kills: int, failure: str | None) -> None:
    DOCUMENT.parent.mkdir(parents=True, exist_ok=True)
    PROGRESS.write_text(json.dumps(done, indent=2) + "\n")
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    rows = {
        "kills with SIGKILL": f"{done['kills']:,} of {kills:,}",
        "of them while the process started": f"{done['starting']:,}",
        "of them within 0.4 s of asking for a snapshot": f"{done['snapshots']:,}",
        "of them that left an unfinished record": f"{done['torn']:,}",
        "acknowledged commands, each found once with the answer given": (
            f"{done['acknowledged']:,}"
        ),
        "requests whose answer never came": f"{done['unanswered']:,}",
        "of them commands that had taken effect, each once": f"{done['applied_unanswered']:,}",
        "acknowledged commands lost": "0" if failure is None else "see below",
        "commands applied twice": "0" if failure is None else "see below",
        "time": f"{done['seconds'] / 3600:.1f} h",
        "commit, machine": f"{commit}, Linux {platform.release()}, {platform.machine()}",
    }
    lines = [
        "# Kills",
        "",
        "`viabtc matchengine` under load, on three connections of 32 requests each, is killed at",
        "random moments. After each kill the journal is verified and replayed, an independent",
        "model in plain decimals follows it command by command, every answer that a client got is",
        "compared with the model's, and balances, books, counters and digest of the restarted",
        "engine with those of model and replay. Written by `make prove`, run by",
        "`tests/crash/killing.py`.",
        "",
        "| what | figure |",
        "| --- | ---: |",
        *(f"| {name} | {value} |" for name, value in rows.items()),
    ]
    if failure is not None:
        lines += ["", "Failed:", "", "```text", failure, "```"]
    DOCUMENT.write_text("\n".join(lines) + "\n")
