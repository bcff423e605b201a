"""Where things are, and how tests fail when they are not there."""

import os
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
"""The project."""

SHARED: Final = Path(os.environ.get("VIABTC_SHARED") or ROOT.parent / "shared")
"""The folder of specification, recorded transcripts and data."""


def shared(*parts: str) -> Path:
    """A file of the shared folder; the test fails when it is not there."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.fail(
            f"{path} is missing: put the folder `shared` beside the project,"
            " or name its place in VIABTC_SHARED",
            pytrace=False,
        )
    return path
