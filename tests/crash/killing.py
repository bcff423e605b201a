"""Kills an engine again and again at random moments, and checks everything after each."""

import io
import random
import socket
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from crash.following import Follower
from harness.configs import small_config
from harness.load import Entry, Job, Load
from harness.model import CANCEL, UPDATE_BALANCE
from harness.processes import Server, spawn_matchengine
from viabtc import journal

OWN: Final[dict[str, Any]] = {
    "segment_bytes": 1 << 20,
    # Snapshots are asked for at random moments, never made by themselves.
    "snapshot_interval_s": 86_400,
    "snapshot_commands": 2**32 - 1,
}

STARTING_SHARE: Final = 0.1
"""Of kills that hit a process that starts."""
SNAPSHOT_SHARE: Final = 0.3
"""Of kills under load that come shortly after a snapshot was asked for."""
READY_SHARE: Final = 0.2
"""Of starts that are awaited to their end; in the others the load begins as soon as it can."""

LOAD_S_MAX: Final = 0.2
"""Longest load before a kill."""

_RESEND_MAX: Final = 40
_CANCELLABLE_MAX: Final = 200


@dataclass
class Tally:
    """What was seen."""

    kills: int = 0
    starting: int = 0
    snapshots: int = 0
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
    seed: int
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._follower = Follower(self.directory / "data")
        self._number = 0
        self._resend: list[list[Any]] = []
        self._cancelled: set[int] = set()

    def run(self, is_enough: Callable[[Tally], bool]) -> Tally:
        """Kills until it is enough, then starts a last time and stops cleanly."""
        while not is_enough(self.tally):
            server = spawn_matchengine(self.directory, small_config(), OWN)
            if self._random.random() < STARTING_SHARE:
                server.is_running(self._random.uniform(0, 1))
                server.kill()
                self.tally.starting += 1
                entries = []
            else:
                entries = self._press_and_kill(server)
            self.tally.kills += 1
            self._check(entries)
        server = spawn_matchengine(self.directory, small_config(), OWN)
        server.until_ready()
        self._follower.compare(server.place("rpc"))
        self._follower.compare_status(server)
        code, report = server.get("/audit", "POST")
        assert code == 200, report
        assert server.stop() == 0, server.said()
        return self.tally

    def _press_and_kill(self, server: Server) -> list[Entry]:
        rpc, console = server.until_open("rpc"), server.until_open("console")
        self._follower.compare(rpc)
        if self._random.random() < READY_SHARE:
            server.until_ready()
            self._follower.compare_status(server)
        resting = self._follower.model.resting.values()
        open_orders = [
            (order.user, order.id) for order in resting if order.id not in self._cancelled
        ]
        count = min(_CANCELLABLE_MAX, len(open_orders))
        job = Job(
            rpc,
            self._random.randrange(2**32),
            self._number,
            self._resend,
            self._random.sample(open_orders, count),
        )
        self.load.begin(job)
        self.load.is_done(self._random.uniform(0, LOAD_S_MAX))
        if self._random.random() < SNAPSHOT_SHARE:
            self.tally.snapshots += 1
            with socket.create_connection(console, 1) as connection:
                connection.sendall(b"makeslice\n")
            self.load.is_done(self._random.uniform(0, 0.4))
        server.kill()
        entries = self.load.end()
        assert entries, "nothing was sent"
        return entries

    def _check(self, entries: list[Entry]) -> None:
        with redirect_stdout(io.StringIO()) as said:
            assert journal.verify(self.directory / "data") == 0, said.getvalue()
        self.tally.torn += "unfinished" in said.getvalue()
        news = self._follower.read()
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


def until(count: int, deadline_s: float = float("inf")) -> Callable[[Tally], bool]:
    """Enough at so many kills, or after a time."""
    deadline = time.monotonic() + deadline_s
    return lambda tally: tally.kills >= count or time.monotonic() > deadline
