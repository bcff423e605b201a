"""What strangers can do to the ports of a whole exchange, while others trade on it.

After each flood the process lives, its memory is what it was, its invariants hold, every good
request was answered, and how long those waited is told beside a quiet time of the same run.
Attackers run at low priority: they stand for other machines, and what counts is the server's work.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.processes import Server

TESTS: Final = Path(__file__).parent.parent

Ports = tuple[int, int]
"""Of HTTP and of RPC."""

RATE: Final = 50
"""Good requests a second."""
QUIET_S: Final = 4.0
GROWTH_MAX_BYTES: Final = 64 << 20
"""What a flood may leave in memory: freed buffers that are kept, and what good traffic stored."""
SLOW_GROWTH_MAX_BYTES: Final = 160 << 20
"""What 10,000 open connections may take while they are open: half of them hold some KiB."""
P99_SLACK_MS: Final = 8000.0
"""Above twice the quiet p99 and this a flood blocks the server; below it the machine's other work
decides: a lost SYN alone takes 3 s, and stalls of the disk were as long. Figures are printed."""
ATTACK_TIMEOUT_S: Final = 240.0


@dataclass
class Good:
    """Good traffic that is under way."""

    process: "subprocess.Popen[str]"

    def end(self) -> dict[str, Any]:
        """Stops it; what it found."""
        said, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == 0
        report: dict[str, Any] = json.loads(said)
        assert report["failures"] == 0, report
        return report


def script(module: str, *arguments: object) -> "subprocess.Popen[str]":
    """Starts a program of this folder."""
    return subprocess.Popen(
        [sys.executable, "-m", f"flood.{module}", *(str(argument) for argument in arguments)],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def ended(*processes: "subprocess.Popen[str]") -> Iterator[None]:
    """Whatever happens in the block, the processes do not outlive it."""
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
            process.wait()


@contextmanager
def good_traffic(ports: Ports) -> Iterator[Good]:
    """Steady good requests for as long as the block lasts."""
    process = script("traffic", *ports, RATE)
    with ended(process):
        yield Good(process)


def finish(kind: str, process: "subprocess.Popen[str]") -> None:
    """Waits for an attacker; it must have got the answers that it should."""
    said, _ = process.communicate(timeout=ATTACK_TIMEOUT_S)
    assert process.returncode == 0, f"{kind}: {said}"


def attack(ports: Ports, counts: dict[str, int], seed: int) -> None:
    """Runs attackers of these kinds at once, to their end."""
    attackers = {
        kind: script("attack", kind, *ports, count, seed) for kind, count in counts.items()
    }
    with ended(*attackers.values()):
        for kind, process in attackers.items():
            finish(kind, process)


def ports_of(exchange: Server) -> Ports:
    return exchange.place("http")[1], exchange.place("rpc")[1]


def resident_bytes(exchange: Server) -> int:
    text = Path(f"/proc/{exchange.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", text)
    assert found is not None
    return int(found[1]) * 1024


def quiet_time(ports: Ports) -> dict[str, Any]:
    """Good traffic alone."""
    with good_traffic(ports) as good:
        try:
            good.process.wait(QUIET_S)
        except subprocess.TimeoutExpired:
            return good.end()
    raise AssertionError("good traffic ended by itself")


def compare(what: str, quiet: dict[str, Any], flooded: dict[str, Any]) -> None:
    """Tells how much longer good requests waited."""
    for kind in ("query", "order"):
        before, during = quiet[kind], flooded[kind]
        ratio = during["p99"] / before["p99"]
        print(  # noqa: T201 - the figure is part of the test's report
            f"{what}: {kind} p50 {before['p50']:.2f} -> {during['p50']:.2f} ms,"
            f" p99 {before['p99']:.2f} -> {during['p99']:.2f} ms ({ratio:.1f} times),"
            f" max {before['max']:.1f} -> {during['max']:.1f} ms of {during['count']}"
        )
    # An order waits for the disk, too, which a flood has no part in.
    assert flooded["query"]["p99"] <= 2 * quiet["query"]["p99"] + P99_SLACK_MS


def assert_sound(exchange: Server) -> None:
    code, report = exchange.get("/audit", "POST")
    assert (code, report["ok"]) == (200, True), report


def test_a_million_malformed_messages_change_nothing(exchange: Server, seed: int) -> None:
    ports = ports_of(exchange)
    quiet = quiet_time(ports)
    # What a first, small flood makes the process keep is not growth.
    small = {"refused-frames": 2_000, "refused-requests": 2_000}
    attack(ports, small, seed)
    before = resident_bytes(exchange)
    counts = {
        "refused-frames": 600_000,
        "refused-requests": 320_000,
        "broken-frames": 40_000,
        "broken-requests": 40_000,
        "huge": 0,
    }
    assert sum(counts.values()) == 1_000_000
    with good_traffic(ports) as good:
        attack(ports, counts, seed)
        flooded = good.end()
    growth = resident_bytes(exchange) - before
    compare("malformed", quiet, flooded)
    assert growth <= GROWTH_MAX_BYTES, f"{growth >> 20} MiB more in memory"
    assert_sound(exchange)


def test_ten_thousand_slow_connections_are_outlived(exchange: Server, seed: int) -> None:
    ports = ports_of(exchange)
    quiet = quiet_time(ports)
    before = resident_bytes(exchange)
    attacker = script("attack", "slow", *ports, 10_000, seed)
    with ended(attacker), good_traffic(ports) as good:
        assert attacker.stdout is not None
        line = attacker.stdout.readline()
        assert line == '{"open": 10000}\n', line + attacker.stdout.read()
        growth = resident_bytes(exchange) - before
        finish("slow", attacker)
        flooded = good.end()
    compare("slow connections", quiet, flooded)
    assert growth <= SLOW_GROWTH_MAX_BYTES, f"{growth >> 20} MiB for 10,000 connections"
    assert_sound(exchange)
