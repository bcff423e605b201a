"""Kills an engine again and again at random moments, and checks everything after each.

A start costs a second of a processor when Python imports everything anew, so most processes are
forked from one that has imported it; every `COMMAND_LINE_EVERY`-th starts as everybody starts it.
"""

import contextlib
import random
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from crash.following import Follower
from harness.configs import small_config
from harness.forking import Forking
from harness.load import Entry, Job, Load
from harness.model import CANCEL, UPDATE_BALANCE
from harness.processes import Place, Server, spawn, spawn_matchengine

OWN: Final[dict[str, Any]] = {
    "segment_bytes": 1 << 20,
    # Snapshots are asked for at random moments, never made by themselves.
    "snapshot_interval_s": 86_400,
    "snapshot_commands": 2**32 - 1,
}

COMMAND_LINE_EVERY: Final = 50

KILLS_PER_DIRECTORY: Final = 50
"""A journal grows, and with it the time that each check takes."""

STARTING_SHARE: Final = 0.1
"""Of kills that hit a process that starts."""
START_S: Final = {True: 0.15, False: 1.0}
"""How long a start takes at most, when it is forked and when it is not."""
READY_SHARE: Final = 0.5
"""Of starts that are awaited to their end; in the others the load begins as soon as it can."""
ROTATION_SHARE: Final = 0.1
"""Of kills under load that come shortly after a snapshot was asked for: during the rotation."""
SNAPSHOT_SHARE: Final = 0.04
"""Of kills under load that come while a snapshot is written, or just after."""

LOAD_S: Final = 0.03
LOAD_S_MAX: Final = 0.3
"""Load before a kill on average, and at most: short ones are as good, and cheaper to check."""
SNAPSHOT_DEADLINE_S: Final = 120.0
SNAPSHOT_S: Final = 0.03
"""How long making one takes at most, once its file is there."""

_LOOK_S: Final = 0.001
_RESEND_MAX: Final = 40
_CANCELLABLE_MAX: Final = 200


@dataclass
class Tally:
    """What was seen."""

    kills: int = 0
    command_line: int = 0
    """Of processes that were started by the command line."""
    starting: int = 0
    """Kills while the process started."""
    rotating: int = 0
    """Kills within 0.3 s of asking for a snapshot, which begins with a rotation."""
    snapshots: int = 0
    """Kills within 0.03 s of the beginning of a snapshot's file."""
    unfinished: int = 0
    """Of those, kills that left an unfinished snapshot."""
    compared: int = 0
    """Restarts whose counters and digest were compared; balances and books are after all."""
    acknowledged: int = 0
    unanswered: int = 0
    """Requests whose reply never came."""
    applied_unanswered: int = 0
    """Of those, commands that had taken effect."""
    torn: int = 0
    """Kills that left an unfinished record."""


@dataclass
class Killing:
    """One data directory, killed until somebody says stop."""

    directory: Path
    load: Load
    forking: Forking
    random: random.Random
    tally: Tally

    def __post_init__(self) -> None:
        self._data = self.directory / "data"
        # A kill may come before the engine makes it.
        self._data.mkdir()
        self._follower = Follower(self._data)
        self._number = 0
        self._resend: list[list[Any]] = []
        self._cancelled: set[int] = set()

    def run(self, is_enough: Callable[[Tally], bool]) -> None:
        """Kills once and until it is enough, then starts a last time and stops cleanly."""
        while True:
            is_forked = (self.tally.kills + 1) % COMMAND_LINE_EVERY != 0
            self.tally.command_line += not is_forked
            server = self._spawn(is_forked=is_forked)
            entries = []
            # Whatever does not hold, no process stays behind.
            with contextlib.closing(_Killed(server)):
                if self.random.random() < STARTING_SHARE:
                    server.is_running(self.random.uniform(0, START_S[is_forked]))
                    server.kill()
                    self.tally.starting += 1
                else:
                    entries = self._press_and_kill(server)
            self.tally.kills += 1
            self._check(entries)
            if is_enough(self.tally):
                break
        server = self._spawn(is_forked=True)
        with contextlib.closing(_Killed(server)):
            server.until_ready()
            self._follower.compare(server.place("rpc"))
            self._follower.compare_status(server)
            code, report = server.get("/audit", "POST")
            assert code == 200, report
            assert server.stop() == 0, server.said()

    def _spawn(self, *, is_forked: bool) -> Server:
        begin = self.forking.spawn if is_forked else spawn
        return spawn_matchengine(self.directory, small_config(), OWN, begin=begin)

    def _press_and_kill(self, server: Server) -> list[Entry]:
        rpc, console = server.until_open("rpc"), server.until_open("console")
        self._follower.compare(rpc)
        if self.random.random() < READY_SHARE:
            server.until_ready()
            self._follower.compare_status(server)
            self.tally.compared += 1
        job = self._job(rpc)
        kind = self.random.random()
        if kind < SNAPSHOT_SHARE and self._follower.sequence:
            self._begin_snapshot(console)
            self.load.begin(job)
            self.load.is_done(self.random.uniform(0, SNAPSHOT_S))
            server.kill()
            self.tally.snapshots += 1
            self.tally.unfinished += any(self._data.glob("*.unfinished"))
        else:
            self.load.begin(job)
            if kind < SNAPSHOT_SHARE + ROTATION_SHARE:
                self.load.is_done(self._load_s())
                _ask_for_snapshot(console)
                self.tally.rotating += 1
            self.load.is_done(self._load_s())
            server.kill()
        entries = self.load.end()
        assert entries, "nothing was sent"
        return entries

    def _load_s(self) -> float:
        return min(self.random.expovariate(1 / LOAD_S), LOAD_S_MAX)

    def _job(self, rpc: Place) -> Job:
        resting = self._follower.model.resting.values()
        open_orders = [
            (order.user, order.id) for order in resting if order.id not in self._cancelled
        ]
        count = min(_CANCELLABLE_MAX, len(open_orders))
        cancellable = self.random.sample(open_orders, count)
        return Job(rpc, self.random.randrange(2**32), self._number, self._resend, cancellable)

    def _begin_snapshot(self, console: Place) -> None:
        """Asks for a snapshot and returns when its file appears, or when there is nothing new."""
        before = set(self._data.glob("*.snap"))
        if self._data / f"snapshot-{self._follower.sequence:020}.snap" in before:
            return
        _ask_for_snapshot(console)
        deadline = time.monotonic() + SNAPSHOT_DEADLINE_S
        while set(self._data.glob("*.snap*")) <= before:
            assert time.monotonic() < deadline, "no snapshot was made"
            time.sleep(_LOOK_S)

    def _check(self, entries: list[Entry]) -> None:
        news = self._follower.read()
        self.tally.torn += self._follower.is_torn
        self.tally.acknowledged += self._follower.judge(entries, news)
        lost = [entry for entry in entries if entry.reply is None]
        self.tally.unanswered += len(lost)
        self.tally.applied_unanswered += len(news) - sum(
            entry.reply is not None and b'"error": null' in entry.reply for entry in entries
        )
        self._number += len(entries)
        self._cancelled.update(entry.params[2] for entry in entries if entry.command == CANCEL)
        updates = [entry for entry in entries if entry.command == UPDATE_BALANCE]
        self._resend = [
            entry.params
            for entry in sorted(updates, key=lambda entry: entry.reply is not None)[:_RESEND_MAX]
        ]


@dataclass
class _Killed:
    """A server that is gone when this is closed."""

    server: Server

    def close(self) -> None:
        if self.server.is_running():
            self.server.kill()


def _ask_for_snapshot(console: Place) -> None:
    with socket.create_connection(console, 1) as connection:
        connection.sendall(b"makeslice\n")


def kill(
    directory: Path,
    load: Load,
    forking: Forking,
    seed: int,
    is_enough: Callable[[Tally], bool],
    tally: Tally,
) -> None:
    """Kills until it is enough, in a new data directory inside `directory` again and again.

    Args:
        tally: Counts what is seen, also when something does not hold.
    """
    draw = random.Random(seed)

    def is_old(tally: Tally) -> bool:
        return tally.kills % KILLS_PER_DIRECTORY == 0

    while not is_enough(tally):
        with tempfile.TemporaryDirectory(dir=directory) as place:
            killing = Killing(Path(place), load, forking, draw, tally)
            killing.run(lambda tally: is_old(tally) or is_enough(tally))
