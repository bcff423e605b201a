"""What the crates' own benchmarks print, as rows with targets."""

import re
from dataclasses import dataclass
from typing import Final

from figures import Target, number


@dataclass(frozen=True)
class Alone:
    """One row: where its value stands in the lines, and what it must reach."""

    bench: str
    part: str
    what: str
    target: Target | None
    divisor: float = 1.0
    """Of the printed number, to get the target's unit."""


ORDERS: Final = "1 million resting orders"
ALONE: Final = (
    Alone(
        "worst",
        "million_per_second_best",
        "the public benchmark's book, worst of five scenarios",
        Target(18, "M messages/s"),
    ),
    Alone(
        "core",
        "per_second_best",
        "commands, 1.3 million resting orders, structures in, events out",
        Target(5e6, "/s"),
    ),
    Alone(
        "instructions",
        "per_command",
        "the same, instructions of a command at 20,000 orders",
        None,
    ),
    Alone(
        "text_per_second",
        "largest",
        f"JSON in, reply and feed entry out, {ORDERS}",
        Target(1.2e6, "/s"),
    ),
    Alone("replay_per_second", "largest", f"replay, {ORDERS}", Target(1.5e6, "/s")),
    Alone("restore_milliseconds", "least", f"reading a snapshot of {ORDERS}, ms", None),
    Alone("audit_milliseconds", "least", f"the audit of {ORDERS}, ms", None),
    Alone(
        "restart_milliseconds",
        "least",
        f"restart with {ORDERS} and 100,000 commands behind the snapshot",
        Target(1_000, "ms", is_minimum=False),
    ),
    Alone(
        "snapshot_delay_microseconds",
        "largest",
        f"slowest of the commands beside a snapshot of {ORDERS}",
        Target(5, "ms", is_minimum=False),
        1e3,
    ),
    Alone(
        "snapshot_parts",
        "held_ms",
        "of that the engine itself, on a file system in memory",
        Target(5, "ms", is_minimum=False),
    ),
    Alone(
        "snapshot_disk", "without_max_ms", "slowest command without a snapshot, same run, ms", None
    ),
    Alone("snapshot_disk", "bare_max_ms", "slowest sync without an engine, same run, ms", None),
    Alone(
        "snapshot_disk",
        "p999_ratio",
        "99.9th percentile of the commands beside a snapshot, in those without",
        None,
    ),
    Alone(
        "bytes_per_order",
        "largest",
        "memory of a resting order, all indexes included",
        Target(300, "bytes", is_minimum=False),
    ),
    Alone(
        "bytes_per_balance",
        "largest",
        "memory of a balance",
        Target(150, "bytes", is_minimum=False),
    ),
    Alone(
        "bytes_per_key",
        "largest",
        "memory of a once-only key",
        Target(64, "bytes", is_minimum=False),
    ),
)


def alone_table(lines: list[str]) -> list[str]:
    """The table of those rows that the lines have a value of; of several values the largest."""
    table = ["| work | target | viabtc |", "| --- | --- | --- |"]
    for row in ALONE:
        values = [
            float(found[1]) / row.divisor
            for line in lines
            if re.search(rf"\b(bench|scenario)={row.bench}\b", line)
            and (found := re.search(rf"\b{row.part}=([\d.]+)", line))
        ]
        if not values:
            continue
        value = max(values)
        target, text = "-", number(value)
        if row.target is not None:
            target = row.target.text()
            verdict = "met" if row.target.is_met(value) else "short"
            text = f"{text} {row.target.unit} ({verdict})"
        table.append(f"| {row.what} | {target} | {text} |")
    return table
