"""How long good requests waited, with a flood and without one, in windows of one run.

A machine that others use stalls now and then for its own reasons, and each stall of an open loop is
many slow requests. Windows of both kinds therefore take turns, each has its own p99, and what is
compared is their median: a stall is in one or two windows, what a flood does is in all.
"""

import json
import signal
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

WINDOW_S: Final = 2.0
SETTLE_S: Final = 0.5
"""For what the flood left behind, before a window without it begins."""
PAUSES_MAX: Final = 12
"""Of one flood, which then goes on to its end."""
SAMPLES_MIN: Final = 50
"""Of a window that counts."""
WINDOWS_MIN: Final = 3

RATIO_MAX: Final = 3.0
SLACK_MS: Final = 25.0
"""Above three times the p99 of quiet windows: what one more process that wants the processor costs
where several share it. A flood that blocks the server in each window is above it."""


class Sample(NamedTuple):
    """A good request."""

    kind: str
    intended_s: float
    """By `time.monotonic`."""
    connect_ms: float
    """0 on a connection that was open before."""
    waited_ms: float


@dataclass
class Good:
    """Good traffic that is under way."""

    process: "subprocess.Popen[str]"

    def go_on(self, seconds: float) -> None:
        """Waits while it runs."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return
        raise AssertionError("good traffic ended by itself")

    def end(self) -> list[Sample]:
        """Stops it; what it found."""
        said, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, said
        report: dict[str, Any] = json.loads(said)
        assert report["failures"] == 0, f"{report['failures']} good requests were not answered"
        return [Sample(*sample) for sample in report["samples"]]


@dataclass
class Windows:
    """When there was a flood and when there was none: begins of windows, by `time.monotonic`."""

    quiet: list[float] = field(default_factory=list)
    flooded: list[float] = field(default_factory=list)

    def pass_quiet(self, good: Good, count: int = 1) -> None:
        """Lets windows without a flood pass."""
        _pass(self.quiet, good, count)

    def pass_flooded(self, good: Good, count: int = 1) -> None:
        """Lets windows with a flood pass."""
        _pass(self.flooded, good, count)

    def take_turns(self, good: Good, attackers: Sequence["subprocess.Popen[str]"]) -> None:
        """Pauses attackers again and again, until each has ended."""
        while running := [attacker for attacker in attackers if attacker.poll() is None]:
            self.pass_flooded(good, 2)
            if len(self.quiet) >= PAUSES_MAX:
                continue
            for attacker in running:
                attacker.send_signal(signal.SIGSTOP)
            try:
                good.go_on(SETTLE_S)
                self.pass_quiet(good)
            finally:
                for attacker in running:
                    attacker.send_signal(signal.SIGCONT)

    def compare(self, what: str, samples: Sequence[Sample]) -> None:
        """Tells how much longer good requests waited, and judges it by the queries.

        An order waits for the disk, too, which a flood has no part in: it is only told.
        """
        for kind in ("order", "query"):
            quiet, flooded = (
                _waits(samples, kind, begins) for begins in (self.quiet, self.flooded)
            )
            assert min(len(quiet), len(flooded)) >= WINDOWS_MIN, "too few windows to compare"
            before, during = (
                statistics.median(_part(waits, 99) for waits in side) for side in (quiet, flooded)
            )
            half = [
                statistics.median(_part(waits, 50) for waits in side) for side in (quiet, flooded)
            ]
            print(  # noqa: T201 - the figure is part of the test's report
                f"{what}: {kind} p50 {half[0]:.2f} -> {half[1]:.2f} ms, p99 {before:.2f} ->"
                f" {during:.2f} ms ({during / before:.1f} times), medians of {len(quiet)} and"
                f" {len(flooded)} windows"
            )
        _tell_slowest(samples)
        assert during <= RATIO_MAX * before + SLACK_MS, f"{what}: queries wait {during:.1f} ms"


def _pass(begins: list[float], good: Good, count: int) -> None:
    for _ in range(count):
        begins.append(time.monotonic())
        good.go_on(WINDOW_S)


def _waits(samples: Sequence[Sample], kind: str, begins: Sequence[float]) -> list[list[float]]:
    """Of each window, how long the requests waited that were to be sent in it; shortest first."""
    windows = [
        sorted(
            sample.waited_ms
            for sample in samples
            if sample.kind == kind and begin <= sample.intended_s < begin + WINDOW_S
        )
        for begin in begins
    ]
    return [waits for waits in windows if len(waits) >= SAMPLES_MIN]


def _part(waits: Sequence[float], percent: int) -> float:
    return waits[len(waits) * percent // 100]


def _tell_slowest(samples: Sequence[Sample]) -> None:
    """Says what the slowest request of each kind waited for."""
    for kind in ("order", "query"):
        slowest = max((sample for sample in samples if sample.kind == kind), key=_waited)
        print(  # noqa: T201 - the figure is part of the test's report
            f"slowest {kind} of {len(samples)} requests: {slowest.waited_ms:.0f} ms,"
            f" {slowest.connect_ms:.0f} ms of them to connect"
        )


def _waited(sample: Sample) -> float:
    return sample.waited_ms
