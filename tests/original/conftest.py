"""A deployment with everything that the original needs, nothing of it started."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.kafka import Broker
from harness.mariadb import Mariadb
from harness.redis_cluster import Cluster
from original.deployment import Deployment, programs


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """Of the original's topics."""
    programs()
    broker = Broker(tmp_path / "kafka")
    broker.start()
    yield broker
    broker.close()


@pytest.fixture
def deployment(
    tmp_path: Path, golden_config: dict[str, Any], broker: Broker, mariadb: Mariadb
) -> Iterator[Deployment]:
    cluster = Cluster(tmp_path / "redis")
    cluster.start()
    deployment = Deployment(tmp_path, golden_config, mariadb, broker, cluster)
    yield deployment
    deployment.close()
    cluster.close()
