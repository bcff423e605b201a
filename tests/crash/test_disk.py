"""Disks that are full, fail to sync, or take their time, under the real process."""

import contextlib
import multiprocessing
import os
import select
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from crash.faulty_disk import IO_ERROR, NO_SPACE, Faults, faulty_disk
from crash.following import Follower
from crash.full_disk import DEADLINE_S, fill, live_on_64_kib, small_disk, until_reserved
from harness.configs import small_config
from harness.load import Job, Load, loading
from harness.processes import Server, start_matchengine
from harness.rpc import Client

EXIT_JOURNAL: Final = 74

END_S_MAX: Final = 1.0
"""From the failure of a sync to the end of the process. 0.1 s is what we want and what a machine
with a free processor shows; the rest is for those where ten others want it. It is printed."""

FAILURE_DEADLINE_S: Final = 20.0
"""For a sync of the file in question to be tried under load, and to fail."""

SLOW_SYNC_S: Final = 0.4

DEPOSIT: Final = 102
QUERY: Final = 101

_LOOK_S: Final = 0.02

PIECE_BYTES: Final = 256 << 10
"""Of a segment that is made ahead, synced at once; the header of one that is begun is shorter."""

OWN: Final[dict[str, Any]] = {"segment_bytes": 1 << 20}


@pytest.fixture
def faults(tmp_path: Path) -> Iterator[Faults]:
    with faulty_disk(tmp_path / "data", tmp_path / "backing", tmp_path / "control") as faults:
        yield faults


@pytest.fixture
def load() -> Iterator[Load]:
    with loading() as process:
        yield process


@contextlib.contextmanager
def engine(directory: Path) -> Iterator[Server]:
    """An engine that is gone after the block, if it was not stopped."""
    server = start_matchengine(directory, small_config(), OWN)
    try:
        yield server
    finally:
        server.kill()


def deposit(client: Client, number: int) -> None:
    assert client.result(DEPOSIT, 1, "BTC", "test", number, "1", {}) == {"status": "success"}


def is_accepted(client: Client, number: int) -> bool:
    params = [1, "BTC", "test", number, "1", {"text": "x" * 900}]
    return client.call(DEPOSIT, params)["error"] is None


def available(server: Server) -> str:
    with Client(server.place("rpc")) as client:
        text = client.result(QUERY, 1, "BTC")["BTC"]["available"]
        assert isinstance(text, str)
        return text


def until_ended(server: Server) -> float:
    """Waits for the end of a process; when it came, as `time.monotonic` tells it."""
    handle = os.pidfd_open(server.pid)
    try:
        ended, _, _ = select.select([handle], [], [], FAILURE_DEADLINE_S)
        assert ended, "the engine goes on after a failed sync"
        return time.monotonic()
    finally:
        os.close(handle)


@pytest.mark.parametrize(
    ("only", "bytes_min", "error"),
    [
        ("journal-", 0, IO_ERROR),
        ("journal-", 0, NO_SPACE),
        ("spare-", 0, IO_ERROR),
        ("spare-", PIECE_BYTES, IO_ERROR),
    ],
    ids=["batch", "batch-no-space", "next-segment", "segment-made-ahead"],
)
def test_a_failed_sync_ends_the_process_at_once_and_costs_nothing_acknowledged(
    faults: Faults, load: Load, tmp_path: Path, seed: int, only: str, bytes_min: int, error: int
) -> None:
    with engine(tmp_path) as server:
        load.begin(Job(server.place("rpc"), seed, 0, [], []))
        assert not load.is_done(0.5), "the load ended by itself"
        faults.order(errno=error, only=only, bytes_min=bytes_min)
        took_s = until_ended(server) - faults.failed_at()
        print(f"ended {took_s:.3f} s after the failure")  # noqa: T201 - the figure is the point
        assert took_s < END_S_MAX
        assert not server.is_running(FAILURE_DEADLINE_S)
        assert server.process.returncode == EXIT_JOURNAL
    entries = load.end()
    lines = [line for line in server.said().splitlines() if line.startswith("viabtc: ")]
    assert len(lines) == 1
    assert f"cannot sync {only}" in lines[0]
    assert os.strerror(error) in lines[0]
    assert "What to do: " in lines[0]
    faults.order()
    second = start_matchengine(tmp_path, small_config(), OWN)
    follower = Follower(tmp_path / "data")
    news = follower.read()
    assert follower.judge(entries, news) <= len(news)
    assert any(entry.reply for entry in entries)
    follower.compare(second.place("rpc"))
    assert second.stop() == 0, second.said()


def test_a_slow_sync_delays_answers_and_changes_none(faults: Faults, tmp_path: Path) -> None:
    server = start_matchengine(tmp_path, small_config(), OWN)
    with Client(server.place("rpc")) as client:
        deposit(client, 1)
        faults.order(delay_s=SLOW_SYNC_S)
        for number in range(2, 5):
            begun = time.monotonic()
            deposit(client, number)
            assert time.monotonic() - begun >= SLOW_SYNC_S, "an answer came before its sync"
        faults.order()
        deposit(client, 5)
    assert available(server) == "5"
    server.kill()
    second = start_matchengine(tmp_path, small_config(), OWN)
    assert available(second) == "5"
    assert second.stop() == 0, second.said()


def test_a_full_disk_refuses_writes_in_time_and_goes_on_by_itself(tmp_path: Path) -> None:
    ballast = tmp_path / "data" / "ballast"
    with small_disk(tmp_path / "data", "8m"):
        server = start_matchengine(tmp_path, small_config(), OWN)
        with Client(server.place("rpc")) as client:
            deposit(client, 1)
            until_reserved(tmp_path / "data")
            fill(ballast)
            accepted = 1
            while is_accepted(client, accepted + 1):
                accepted += 1
                assert accepted < 100_000, "the disk is never full"
            number = accepted + 1
            for _ in range(20):
                assert client.error(DEPOSIT, 1, "BTC", "test", number, "1", {})[0] == 3
            assert client.result(QUERY, 1, "BTC")["BTC"]["available"] == str(accepted)
            assert server.get("/health/ready")[0] == 200
            ballast.unlink()
            deadline = time.monotonic() + DEADLINE_S
            while not is_accepted(client, number):
                assert time.monotonic() < deadline, "writes do not go on"
                time.sleep(_LOOK_S)
        server.kill()
        second = start_matchengine(tmp_path, small_config(), OWN)
        assert available(second) == str(number)
        assert second.stop() == 0, second.said()


def test_a_disk_of_64_kib_is_enough_to_refuse_and_to_go_on(tmp_path: Path) -> None:
    with small_disk(tmp_path / "data", "64k"):
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=live_on_64_kib, args=(tmp_path / "data",))
        process.start()
        process.join(60)
        assert process.exitcode == 0
