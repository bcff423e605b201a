"""An acknowledged command survives a kill at any moment, and counts once."""

import os
from pathlib import Path

from crash.killing import Killing, until
from harness.load import loading

KILLS = int(os.environ.get("VIABTC_KILLS") or 100)


def test_no_kill_loses_or_repeats_an_acknowledged_command(tmp_path: Path, seed: int) -> None:
    with loading() as load:
        tally = Killing(tmp_path, load, seed).run(until(KILLS))
    print(tally)  # noqa: T201 - shown when the next lines fail
    assert tally.kills == KILLS
    assert tally.acknowledged > KILLS * 10
    # Without these the kills were not under load.
    assert tally.unanswered > KILLS
    assert tally.applied_unanswered > 0
