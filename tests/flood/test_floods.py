"""What strangers can do to the ports of a whole exchange, while others trade on it.

After each flood the process lives, its memory is what it was, its invariants hold, every good
request was answered, and their p99 is at most three times that of quiet windows of the same run.
Attackers give way to all others: they stand for other machines, and only the server's work counts.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from flood.measuring import SETTLE_S, Good, Windows
from harness.processes import Server

TESTS: Final = Path(__file__).parent.parent

Ports = tuple[int, int]
"""Of HTTP and of RPC."""

RATE: Final = 100
"""Good requests a second."""
GROWTH_MAX_BYTES: Final = 64 << 20
"""What a flood may leave in memory: freed buffers that are kept, and what good traffic stored."""
SLOW_GROWTH_MAX_BYTES: Final = 160 << 20
"""What 10,000 open connections may take while they are open: half of them hold some KiB."""
ATTACK_TIMEOUT_S: Final = 240.0
SLOW_QUIET_WINDOWS: Final = 5
"""Before the slow connections and after them; they cannot be taken away in between."""


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


def begin(ports: Ports, counts: dict[str, int], seed: int) -> dict[str, "subprocess.Popen[str]"]:
    """Starts attackers of these kinds at once."""
    return {kind: script("attack", kind, *ports, count, seed) for kind, count in counts.items()}


def attack(ports: Ports, counts: dict[str, int], seed: int) -> None:
    """Runs attackers of these kinds at once, to their end."""
    attackers = begin(ports, counts, seed)
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


def tell_slow_commits(exchange: Server) -> None:
    """Says how often the engine waited for the disk so long that everybody noticed."""
    commits, quick = (
        exchange.metric(f'viabtc_engine_commit_seconds_bucket{{le="{bound}"}}')
        for bound in ("+Inf", "0.25")
    )
    print(f"{commits - quick:.0f} of {commits:.0f} commits took more than 250 ms")  # noqa: T201


def assert_sound(exchange: Server) -> None:
    code, report = exchange.get("/audit", "POST")
    assert (code, report["ok"]) == (200, True), report


def test_a_million_malformed_messages_change_nothing(exchange: Server, seed: int) -> None:
    ports = ports_of(exchange)
    # What a first, small flood makes the process keep is not growth.
    attack(ports, {"refused-frames": 2_000, "refused-requests": 2_000}, seed)
    before = resident_bytes(exchange)
    counts = {
        "refused-frames": 600_000,
        "refused-requests": 320_000,
        "broken-frames": 40_000,
        "broken-requests": 40_000,
        "huge": 0,
    }
    assert sum(counts.values()) == 1_000_000
    windows = Windows()
    with good_traffic(ports) as good:
        windows.pass_quiet(good)
        attackers = begin(ports, counts, seed)
        with ended(*attackers.values()):
            windows.take_turns(good, list(attackers.values()))
            for kind, process in attackers.items():
                finish(kind, process)
        samples = good.end()
    growth = resident_bytes(exchange) - before
    tell_slow_commits(exchange)
    windows.compare("malformed", samples)
    assert growth <= GROWTH_MAX_BYTES, f"{growth >> 20} MiB more in memory"
    assert_sound(exchange)


def test_ten_thousand_slow_connections_are_outlived(exchange: Server, seed: int) -> None:
    ports = ports_of(exchange)
    before = resident_bytes(exchange)
    windows = Windows()
    with good_traffic(ports) as good:
        windows.pass_quiet(good, SLOW_QUIET_WINDOWS)
        attacker = script("attack", "slow", *ports, 10_000, seed)
        with ended(attacker):
            assert attacker.stdout is not None
            line = attacker.stdout.readline()
            assert line == '{"open": 10000}\n', line + attacker.stdout.read()
            growth = resident_bytes(exchange) - before
            while attacker.poll() is None:
                windows.pass_flooded(good)
            finish("slow", attacker)
        good.go_on(SETTLE_S)
        windows.pass_quiet(good, SLOW_QUIET_WINDOWS)
        samples = good.end()
    tell_slow_commits(exchange)
    windows.compare("slow connections", samples)
    assert growth <= SLOW_GROWTH_MAX_BYTES, f"{growth >> 20} MiB for 10,000 connections"
    assert_sound(exchange)
