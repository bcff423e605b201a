"""Real brokers and Redis servers, started once for the folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edges.projecting import Rig
from harness.kafka import Broker, Publisher
from harness.redis_cluster import Cluster, Node, new_server


def running_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    broker = Broker(tmp_path_factory.mktemp("kafka"))
    broker.start()
    yield broker
    broker.close()


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A running broker; whoever kills it starts it again."""
    yield from running_broker(tmp_path_factory)


@pytest.fixture
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A running broker whose topics nobody else uses: the engine's have fixed names."""
    yield from running_broker(tmp_path_factory)


@pytest.fixture
def publisher(broker: Broker) -> Iterator[Publisher]:
    publisher = Publisher(broker.place)
    yield publisher
    publisher.close()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Node]:
    """A plain server without data."""
    node = new_server(tmp_path)
    node.start()
    yield node
    node.close()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A master, a replica and three Sentinels that agree."""
    cluster = Cluster(tmp_path / "cluster")
    cluster.start()
    yield cluster
    cluster.close()


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "data")
