"""An acknowledged command survives a kill at any moment, and counts once."""

import os
from pathlib import Path

from crash.killing import COMMAND_LINE_EVERY, Tally, kill
from harness.forking import forking
from harness.load import loading

KILLS = int(os.environ.get("VIABTC_KILLS") or 300)


def test_no_kill_loses_or_repeats_an_acknowledged_command(tmp_path: Path, seed: int) -> None:
    tally = Tally()
    with loading() as load, forking() as forks:
        kill(tmp_path, load, forks, seed, lambda tally: tally.kills >= KILLS, tally)
    print(tally)  # noqa: T201 - shown when the next lines fail
    assert tally.kills == KILLS
    assert tally.command_line == KILLS // COMMAND_LINE_EVERY
    assert tally.acknowledged > KILLS * 10
    # Without these the kills were not under load.
    assert tally.unanswered > KILLS
    assert tally.applied_unanswered > 0
