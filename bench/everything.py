"""Trading with everything on: `.venv/bin/python bench/everything.py`.

Operation log and history go to a real MariaDB with its syncs on, every topic to a real Kafka; both,
the engine and the load share the machine. First orders come at a rate that the projections are to
keep up with, then at one that they fall behind at, and catch up with afterwards. An order counts
when it is acknowledged, which is after its sync (mode `local`).
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from servers import ROOT, TICKS_PER_S, output_of

LOAD: Final = ROOT / "target" / "release" / "viabtc-load"

PROJECTIONS: Final = ("operlog", "history", "topics")

RATE: Final = 10_000
"""Orders a second that every projection keeps up with. Source: the figures of the design."""

FLOOD: Final = 100_000
"""Orders a second, for a minute, that are all taken. Source: the same."""

FLOOD_RATE: Final = 102_000
"""What is sent meanwhile; with more of them only the disk's part of the work would grow."""

LAG_S_MAX: Final = 5.0
"""A projection keeps up when the age of what it wrote last stays below this."""

LOOK_S: Final = 0.5

BUFFER_POOL: Final = "--innodb-buffer-pool-size=1G"
REDO_LOG: Final = "--innodb-log-file-size=1G"
"""Of a server that has a database to serve, and not of the tests' small ones."""


@dataclass
class Lags:
    """What a projection was behind by, each time somebody looked."""

    commands: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


class Watch:
    """Looks at the engine's figures again and again, in a thread of its own."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._done = threading.Event()
        self.lags = {name: Lags() for name in PROJECTIONS}
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(LOOK_S):
            figures = figures_of(self._engine)
            for name, lags in self.lags.items():
                lags.commands.append(figures[f"viabtc_{name}_lag_commands"])
                lags.seconds.append(figures[f"viabtc_{name}_lag_seconds"])


def figures_of(engine: Any) -> dict[str, float]:
    """Every figure of its control app that has no labels."""
    lines = engine.text("/metrics").splitlines()
    pairs = (line.split() for line in lines if line[:1] != "#" and "{" not in line)
    return {name: float(value) for name, value in pairs}


def cpu_s(pid: int) -> float:
    """CPU seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def load(engine: Any, seconds: float, *options: str) -> dict[str, Any]:
    """Runs the load generator; what it says."""
    host, port = engine.place("rpc")
    arguments = [str(LOAD), "--address", f"{host}:{port}", "--mode", "trading", "--json"]
    arguments += ["--seconds", str(seconds), *options]
    return dict(json.loads(output_of(arguments)))


def say_load(what: str, run: dict[str, Any], is_met: bool) -> None:  # noqa: FBT001
    refused = sum(run["refused"].values())
    latency = ", ".join(f"{name} {us / 1e3:.2f}" for name, us in run["latency_us"].items())
    print(
        f"{what}: {run['accepted_per_s']:,.0f} orders/s for {run['seconds']:.0f} s,"
        f" {100 * run['taking_share']:.0f} % take, {refused} refused,"
        f" {run['unanswered']} unanswered; {latency} ms: {'met' if is_met else 'missed'}",
        flush=True,
    )


def is_whole(run: dict[str, Any]) -> bool:
    """Whether every order was taken."""
    return not run["refused"] and run["unanswered"] == 0


def keep_up(engine: Any, seconds: float, rate: int, pids: dict[str, int]) -> None:
    """Orders at a rate; by how much the projections are behind meanwhile, and at its end."""
    before = figures_of(engine)
    cpu = {name: cpu_s(pid) for name, pid in pids.items()}
    with Watch(engine) as watch:
        run = load(engine, seconds, "--rate", str(rate))
    ended = time.perf_counter()
    spent = {name: cpu_s(pid) - cpu[name] for name, pid in pids.items()}
    wait_until_caught_up(engine, 60.0)
    after_s = time.perf_counter() - ended
    after = figures_of(engine)
    worst = max(max(lags.seconds) for lags in watch.lags.values())
    is_kept = worst <= LAG_S_MAX and is_whole(run) and run["accepted_per_s"] >= 0.99 * rate
    say_load(f"at {rate:,}/s", run, is_kept)
    for name, lags in watch.lags.items():
        half = len(lags.commands) // 2
        rows = after[f"viabtc_{name}_rows_total"] - before[f"viabtc_{name}_rows_total"]
        print(
            f"  {name:<8} behind by at most {max(lags.seconds):.2f} s and"
            f" {max(lags.commands):,.0f} commands, {max(lags.commands[half:]):,.0f} in the second"
            f" half; {rows:,.0f} rows or messages",
        )
    print(f"  nothing was behind {after_s:.1f} s after the last order")
    shares = ", ".join(f"{name} {s:.0f}" for name, s in spent.items())
    print(f"  CPU seconds: {shares}", flush=True)


def flood(engine: Any, seconds: float, rate: int, catch_up_s: float) -> None:
    """More orders than the projections can follow, then what they make up for in a while."""
    begun = figures_of(engine)
    run = load(engine, seconds, "--rate", str(rate))
    say_load(f"at {rate:,}/s", run, run["accepted_per_s"] >= FLOOD and is_whole(run))
    left = figures_of(engine)
    started = time.perf_counter()
    wait_until_caught_up(engine, catch_up_s)
    took_s = time.perf_counter() - started
    now = figures_of(engine)
    for name in PROJECTIONS:
        lag, sequence, rows = (
            f"viabtc_{name}_{part}" for part in ("lag_commands", "sequence", "rows_total")
        )
        meanwhile = left[sequence] - begun[sequence]
        made_up = (now[sequence] - left[sequence]) / took_s
        print(
            f"  {name:<8} {meanwhile:,.0f} commands meanwhile, {left[lag]:,.0f} behind at the end;"
            f" then {made_up:,.0f} commands/s, {(now[rows] - left[rows]) / took_s:,.0f} rows or"
            f" messages/s; {now[lag]:,.0f} behind after {took_s:.0f} s"
        )
    sys.stdout.flush()


def wait_until_caught_up(engine: Any, seconds: float) -> None:
    """Until nothing is behind, or for a time."""
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        figures = figures_of(engine)
        if not any(figures[f"viabtc_{name}_lag_commands"] for name in PROJECTIONS):
            return
        time.sleep(LOOK_S)


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each of the two loads")
    parser.add_argument("--rate", type=int, default=RATE, help="of the first, in orders a second")
    parser.add_argument("--flood-rate", type=int, default=FLOOD_RATE, help="of the second")
    parser.add_argument(
        "--catch-up-seconds", type=float, default=45.0, help="how long to look on after the second"
    )
    return parser.parse_args(arguments)


def main() -> None:
    given = options()
    output_of(["cargo", "build", "--release", "-q", "-p", "viabtc-load"])
    sys.path.insert(0, str(ROOT / "tests"))
    from harness.configs import three_markets
    from harness.kafka import Broker
    from harness.mariadb import Mariadb, make_schema
    from harness.processes import start_matchengine

    with tempfile.TemporaryDirectory(prefix="viabtc-bench-") as name:
        directory = Path(name)
        mariadb = Mariadb(
            directory / "mariadb", flush_method="O_DIRECT", options=(BUFFER_POOL, REDO_LOG)
        )
        broker = Broker(directory / "broker")
        try:
            mariadb.start()
            make_schema(directory, mariadb)
            broker.start()
            config = {**three_markets(), **mariadb.sections(), "brokers": broker.place}
            engine = start_matchengine(directory, config)
            try:
                # Funds come first, and what the first messages cost a broker.
                load(engine, 2.0, "--rate", "1000")
                wait_until_caught_up(engine, 60.0)
                pids = {"engine": engine.pid, "MariaDB": mariadb.pid, "Kafka": broker.pid}
                keep_up(engine, given.seconds, given.rate, pids)
                flood(engine, given.seconds, given.flood_rate, given.catch_up_seconds)
            finally:
                engine.kill()
        finally:
            broker.close()
            mariadb.close()


if __name__ == "__main__":
    main()
