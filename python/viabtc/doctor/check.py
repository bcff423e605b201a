"""What a look at one thing finds."""

import dataclasses
from typing import Final

OK: Final = "ok"
WARNING: Final = "warning"
WRONG: Final = "wrong"

PATIENCE_S: Final = 3.0
"""How long whoever is asked may take to answer."""

SKEW_MAX_S: Final = 1.0
"""How far two clocks may be apart."""


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    service: str
    subject: str
    state: str
    what: str
    do: str = ""


def first(checks: list[Check], otherwise: Check) -> list[Check]:
    """What was found; `otherwise` when nothing was."""
    return checks or [otherwise]
