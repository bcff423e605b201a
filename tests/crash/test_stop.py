"""Stopping, pausing and starting twice, each under load."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crash.following import Follower
from harness.configs import small_config
from harness.load import Entry, Job, Load, loading
from harness.processes import VIABTC, Server, start_exchange, start_matchengine
from harness.rpc import Client
from viabtc import _core

STOP_S_MAX = 5.0

PAUSE_S = 3.0

UNAVAILABLE = b'"code": 3'


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Server]:
    server = start_matchengine(tmp_path, small_config())
    yield server
    if server.is_running():
        server.kill()


@pytest.fixture
def load() -> Iterator[Load]:
    with loading() as process:
        yield process


def job(server: Server, seed: int, requests_max: int | None = None) -> Job:
    return Job(server.place("rpc"), seed, 0, [], [], requests_max)


def check(data: Path, entries: list[Entry]) -> None:
    """Every answer is true, and the journal holds nothing that nobody was told of."""
    follower = Follower(data)
    news = follower.read()
    successes = follower.judge(entries, news)
    assert successes == len(news), f"{len(news) - successes} commands took effect unanswered"


def test_a_stop_under_load_answers_what_was_taken_and_seals(
    engine: Server, load: Load, tmp_path: Path, seed: int
) -> None:
    load.begin(job(engine, seed))
    assert not load.is_done(0.5), "the load ended by itself"
    begun = time.monotonic()
    assert engine.stop() == 0, engine.said()
    assert time.monotonic() - begun < STOP_S_MAX
    entries = load.end()
    check(tmp_path / "data", entries)
    found = _core.inspect_journal(str(tmp_path / "data"))
    assert found["is_sealed"]
    # What came too late was refused as such, or not read at all.
    refused = [entry for entry in entries if entry.reply and UNAVAILABLE in entry.reply]
    unread = [entry for entry in entries if entry.reply is None]
    assert len(entries) > len(refused) + len(unread)


def test_a_paused_engine_goes_on_where_it_was(
    engine: Server, load: Load, tmp_path: Path, seed: int
) -> None:
    before = engine.status()["sequence"]
    # A quiet machine does 20,000 in a third of a second.
    load.begin(job(engine, seed, 100_000))
    assert not load.is_done(0.2), "the load ended before the pause"
    os.kill(engine.pid, signal.SIGSTOP)
    try:
        assert not load.is_done(PAUSE_S), "the engine answered while it was stopped"
    finally:
        os.kill(engine.pid, signal.SIGCONT)
    entries = load.end(120)
    assert len(entries) >= 100_000
    assert [entry for entry in entries if entry.reply is None] == []
    assert engine.stop() == 0, engine.said()
    assert before == 0
    check(tmp_path / "data", entries)


@pytest.mark.parametrize("command", ["matchengine", "run"])
def test_a_second_process_on_the_same_data_is_refused_in_words(
    engine: Server, tmp_path: Path, command: str
) -> None:
    if command == "run":
        arguments = ["--data", str(tmp_path / "data")]
        for port in ("http", "rest", "rpc", "console"):
            arguments += [f"--{port}", "127.0.0.1:0"]
    else:
        # The same file on other ports, so that nothing but the data is taken.
        settings = json.loads((tmp_path / "matchengine.json").read_text())
        settings["svr"]["bind"] = settings["cli"] = "tcp@127.0.0.1:0"
        settings["viabtc"]["control"] = ""
        (tmp_path / "second.json").write_text(json.dumps(settings))
        arguments = [str(tmp_path / "second.json")]
    second = subprocess.run(
        [*VIABTC, command, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert second.returncode == 1
    assert f"locked by process {engine.pid}" in second.stderr
    assert "What to do: " in second.stderr
    with Client(engine.place("rpc")) as client:
        assert client.result(104), "the first serves no more"


def test_a_killed_exchange_says_what_it_continues_from(tmp_path: Path) -> None:
    first = start_exchange(tmp_path, small_config())
    with Client(first.place("rpc")) as client:
        client.result(102, 1, "BTC", "test", 1, "1", {})
    first.kill()
    second = start_exchange(tmp_path, small_config())
    assert "Continues at command 1 after an unclean stop: 1 replayed" in second.said()
    assert second.stop() == 0
    third = start_exchange(tmp_path, small_config())
    with Client(third.place("rpc")) as client:
        assert client.result(101, 1, "BTC")["BTC"]["available"] == "1"
        # The update counts once, however often the process was started since.
        assert client.error(102, 1, "BTC", "test", 1, "1", {}) == (10, "repeat update")
    assert third.stop() == 0
