"""Fixtures: real processes for a test or for a folder, stopped when it ends."""

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.configs import three_markets
from harness.places import shared
from harness.processes import Server, start_exchange


@pytest.fixture
def seed() -> int:
    """Of a random test: printed when it fails, given by VIABTC_SEED to repeat it."""
    value = int(os.environ.get("VIABTC_SEED") or random.SystemRandom().randrange(2**32))
    print(f"VIABTC_SEED={value}")  # noqa: T201 - shown when the test fails
    return value


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Server]:
    """`viabtc run`, empty."""
    server = start_exchange(tmp_path, three_markets())
    yield server
    if server.is_running():
        assert server.stop() == 0, server.said()


@pytest.fixture(scope="session")
def golden_config() -> dict[str, Any]:
    """The configuration that the transcripts were recorded with."""
    config: dict[str, Any] = json.loads(shared("golden", "config.matchengine.json").read_text())
    # A broker of the machine where the transcripts were made.
    del config["brokers"]
    return config
