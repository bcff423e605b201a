"""The system's clock is moved under a running engine, a day back and a day forward."""

import functools
import itertools
from pathlib import Path
from typing import Any, Final

import pytest

from harness.configs import small_config
from harness.processes import Server, spawn, spawn_matchengine
from harness.rpc import Client
from viabtc import _core

DEPOSIT: Final = 102
BALANCE: Final = 101

REPEAT: Final = 10
"""The code of an update that took effect before."""

DAY_US: Final = 86_400_000_000

NEARLY_A_DAY_US: Final = DAY_US - 3_600_000_000
"""A test that takes more than an hour between two commands fails."""


class Clock:
    """What processes take for the time of day, through Debian's `libfaketime`."""

    def __init__(self, directory: Path) -> None:
        found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
        if not found:
            pytest.fail("faketime is missing: run tests/install.sh", pytrace=False)
        self._file = directory / "clock"
        self.set("+0")
        self.environment = {
            "LD_PRELOAD": str(found[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            # A clock that an operator sets does not move the one that timeouts are measured with.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, offset: str) -> None:
        """Moves it at once, `+1d` a day ahead of the real one; no process sees a part of it."""
        written = self._file.with_suffix(".new")
        written.write_text(offset + "\n")
        written.rename(self._file)


def start(directory: Path, clock: Clock) -> Server:
    """An engine that lives by `clock`, ready."""
    begin = functools.partial(spawn, environment=clock.environment)
    server = spawn_matchengine(directory, small_config(), begin=begin)
    server.until_ready()
    return server


def deposit(client: Client, number: int) -> int | None:
    """Deposits 1, once for each number; the code of the refusal."""
    error = client.call(DEPOSIT, [1, "BTC", "test", number, "1", {}])["error"]
    return None if error is None else int(error["code"])


def test_a_clock_that_is_moved_by_a_day_costs_neither_order_nor_a_start(tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    server = start(tmp_path, clock)
    number = 0
    # Each step is done under a running engine, and before a start.
    for offset in ("-1d", "+1d", "+0"):
        for is_restarted in (False, True):
            with Client(server.place("rpc")) as client:
                number += 1
                assert deposit(client, number) is None
            if is_restarted:
                server.kill()
            clock.set(offset)
            if is_restarted:
                server = start(tmp_path, clock)
            with Client(server.place("rpc")) as client:
                assert deposit(client, number) == REPEAT, f"under {offset} it took effect twice"
                number += 1
                assert deposit(client, number) is None, offset
    with Client(server.place("rpc")) as client:
        assert float(client.result(BALANCE, 1, "BTC")["BTC"]["available"]) == number
    assert server.stop() == 0, server.said()

    rows: list[dict[str, Any]] = []
    found = _core.inspect_journal(str(tmp_path / "data"), rows.append, replay=True)
    assert found["problems"] == []
    times = [row["time_us"] for row in rows]
    assert times == sorted(times), "a time descends"
    commands = [row["time_us"] for row in rows if row["kind"] == "command"]
    assert len(commands) == number
    # The clock was seen: once it went ahead, and from then on time stood.
    leaps = [after - before for before, after in itertools.pairwise(commands)]
    assert sum(leap > NEARLY_A_DAY_US for leap in leaps) == 1, leaps
    assert leaps[-1] == 0
