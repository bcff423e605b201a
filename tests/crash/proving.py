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

from crash.killing import COMMAND_LINE_EVERY, Tally, kill
from harness.forking import forking
from harness.load import loading
from harness.places import ROOT

DOCUMENT = ROOT / "docs" / "reliability" / "kills.md"
PROGRESS = DOCUMENT.with_suffix(".json")
"""What was seen so far, so that the next part goes on, also elsewhere."""

KILLS_PER_SEED = 250
"""After so many the progress is written."""


def prove_kills(kills: int, minutes: int) -> bool:
    """Runs one part of at most so many minutes; whether all kills are done now.

    Raises:
        AssertionError: something did not hold; the document says what, and with which seed.
    """
    deadline = time.monotonic() + 60 * minutes
    done = json.loads(PROGRESS.read_text()) if PROGRESS.exists() else {}
    while done.get("kills", 0) < kills and time.monotonic() < deadline:
        seed = random.SystemRandom().randrange(2**32)
        count = min(KILLS_PER_SEED, kills - done.get("kills", 0))
        begun = time.monotonic()
        tally = Tally()

        def is_enough(tally: Tally, count: int = count) -> bool:
            return tally.kills >= count or time.monotonic() > deadline

        with tempfile.TemporaryDirectory() as directory, loading() as load, forking() as forks:
            failure = None
            try:
                kill(Path(directory), load, forks, seed, is_enough, tally)
            except AssertionError as error:
                failure = f"VIABTC_SEED={seed}: {error}"
                raise
            finally:
                _add(done, tally, time.monotonic() - begun)
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
        "of them of processes started by the command line": f"{done['command_line']:,}",
        "of them while the process started": f"{done['starting']:,}",
        "of them within 0.3 s of asking for a snapshot": f"{done['rotating']:,}",
        "of them while a snapshot was written, or just after": f"{done['snapshots']:,}",
        "of these, kills that left it unfinished": f"{done['unfinished']:,}",
        "kills that left an unfinished record": f"{done['torn']:,}",
        "restarts whose counters and digest were compared with the replay's": (
            f"{done['compared']:,}"
        ),
        "acknowledged commands, each found once with the answer given": (
            f"{done['acknowledged']:,}"
        ),
        "requests whose answer never came": f"{done['unanswered']:,}",
        "of them commands that had taken effect, each once": f"{done['applied_unanswered']:,}",
        "acknowledged commands lost": "0" if failure is None else "see below",
        "commands applied twice": "0" if failure is None else "see below",
        "time of all parts together": f"{done['seconds'] / 3600:.1f} h",
        "last commit, machine": f"{commit}, Linux {platform.release()}, {platform.machine()}",
    }
    lines = [
        "# Kills",
        "",
        "`viabtc matchengine` under load, on three connections of 32 requests each, is killed at",
        "random moments. After each kill the journal is verified and replayed from the newest",
        "snapshot on, an independent model in plain decimals follows it command by command, and",
        "every answer that a client got is compared with the model's. Each restarted engine that",
        "serves has its balances and books compared with the model's; half of them are awaited",
        "until they are ready, and have their counters and digest compared with model and replay.",
        "Written by `make prove`, run by `tests/crash/killing.py`.",
        "",
        f"Every {COMMAND_LINE_EVERY}th process is started as operators do, by `viabtc matchengine`",
        "in a new Python. The others are forked from one process that has imported the modules,",
        "opened nothing and started no thread, and then run the service with the same `main` from",
        "the same file: what is saved is the second that Python takes to import. Load lasts 0.03 s",
        "on average and 0.3 s at most, and a data directory serves for 50 kills. (Of the first",
        "1,049 kills every 25th process was started by the command line.)",
        "",
        "| what | figure |",
        "| --- | ---: |",
        *(f"| {name} | {value} |" for name, value in rows.items()),
    ]
    if failure is not None:
        lines += ["", "Failed:", "", "```text", failure, "```"]
    DOCUMENT.write_text("\n".join(lines) + "\n")
