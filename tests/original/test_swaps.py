"""Each process of a running original is swapped for ours and back: nobody can tell by the answers.

It takes the original's own programs, `NAME.exe` in the folder that `VIABTC_ORIGINAL` names.
"""

import random
import time
from typing import Final

from original.deployment import SERVICES, Deployment
from original.trading import Answers, Trader, ask, differing

EDGES: Final = ("accesshttp", "readhistory", "marketprice")

COMMANDS: Final = 400
"""Between two swaps."""

DEADLINE_S: Final = 30.0

SAME: Final = 8
"""Looks that find the same: the original's are behind by a second and more."""

_LOOK_S: Final = 0.4


def asked(deployment: Deployment) -> Answers | None:
    """The answers; None while the door is not linked to somebody who was just started."""
    try:
        with deployment.door() as door:
            return ask(door)
    except (AssertionError, OSError, ValueError):
        return None


def settled(deployment: Deployment) -> Answers:
    """The answers once histories and market data have caught up: the same several times."""
    deadline = time.monotonic() + DEADLINE_S
    before, same = asked(deployment), 0
    while before is None or same < SAME:
        assert time.monotonic() < deadline, "the answers go on changing"
        time.sleep(_LOOK_S)
        answers = asked(deployment)
        same = same + 1 if answers == before else 0
        before = answers
    return before


def until(deployment: Deployment, expected: Answers, who: str) -> None:
    """Waits until everything is answered as before: who starts loads its state first."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        answers = asked(deployment)
        if answers == expected:
            return
        if time.monotonic() > deadline:
            found = "no answers" if answers is None else differing(expected, answers)
            raise AssertionError(f"{who}: {found}")
        time.sleep(_LOOK_S)


def test_each_process_is_swapped_there_and_back(deployment: Deployment, seed: int) -> None:
    trader = Trader(random.Random(seed))
    for service in SERVICES:
        deployment.start(service, is_ours=False)

    def trade() -> Answers:
        with deployment.door() as door:
            trader.trade(door, COMMANDS)
        return settled(deployment)

    expected = trade()
    for is_ours in (True, False, True):
        for service in EDGES:
            deployment.swap(service, is_ours=is_ours)
            until(deployment, expected, f"{service}, ours: {is_ours}")
        expected = trade()

    deployment.stop("matchengine")
    deployment.take_over("first")
    deployment.start("matchengine", is_ours=True)
    until(deployment, expected, "our engine")
    expected = trade()

    deployment.swap("matchengine", is_ours=False)
    until(deployment, expected, "the original's engine again")
    expected = trade()

    deployment.stop("matchengine")
    deployment.take_over("second")
    deployment.start("matchengine", is_ours=True)
    until(deployment, expected, "our engine once more")
