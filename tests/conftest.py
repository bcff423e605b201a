"""Fixtures: real processes for a test or for a folder, stopped when it ends."""

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from harness.box import make_wheels
from harness.configs import three_markets
from harness.mariadb import Mariadb, make_schema
from harness.places import shared
from harness.processes import Server, end_leftovers, start_exchange

# On a busy machine any example may take any time: that is no failure.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


def pytest_unconfigure() -> None:
    end_leftovers()


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
    # Brokers and databases of the machine where the transcripts were made.
    del config["brokers"], config["db_log"], config["db_history"]
    return config


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the wheel of this project and everything that it needs."""
    return make_wheels(tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a stopped MariaDB with the databases that `viabtc schema` makes."""
    directory = tmp_path_factory.mktemp("databases")
    server = Mariadb(directory / "mariadb")
    try:
        server.start()
        for _ in range(2):
            said = make_schema(directory, server)
        assert said.count("up to date") == 2, said
        server.stop()
    finally:
        server.close()
    return server.directory


@pytest.fixture
def mariadb(databases: Path, tmp_path: Path) -> Iterator[Mariadb]:
    """A running MariaDB with empty tables."""
    server = Mariadb(tmp_path / "mariadb", databases)
    try:
        server.start()
        yield server
    finally:
        server.close()
