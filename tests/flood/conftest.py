"""The exchange that is flooded."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from crash.full_disk import small_disk
from harness.configs import three_markets
from harness.processes import Server, start_exchange


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Server]:
    """`viabtc run` on a disk in memory.

    A query waits until what it saw is on disk, and a flood has no part in how long a disk takes
    that others use, too.
    """
    directory = tmp_path / "disk"
    with small_disk(directory, "4g"):
        server = start_exchange(directory, three_markets())
        try:
            yield server
            assert server.stop() == 0, server.said()
        finally:
            if server.is_running():
                server.kill()
