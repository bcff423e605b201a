"""Rows of the table, facts about the machine, and the results file."""

import os
import platform
import re
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from figures import Bench, Figure, Reading, number
from servers import ROOT, output_of

SYNCS: Final = 200
"""Writes that the disk's figure is taken from."""


@dataclass
class Row:
    """A figure and what each server reached."""

    figure: Figure
    readings: dict[str, Reading | None]

    def line(self) -> str:
        """For the terminal."""
        parts = [f"{self.figure.name:<14}"]
        for name, reading in self.readings.items():
            parts.append(f"{name}: {self.value_text(reading)}")
        return "  ".join(parts)

    def value_text(self, reading: Reading | None) -> str:
        """Values with their verdicts."""
        if reading is None:
            return "not served"
        texts = []
        for part, value in reading.values.items():
            target = self.figure.targets.get(part)
            unit = target.unit if target else "/s"
            verdict = f" ({'met' if target.is_met(value) else 'short'})" if target else ""
            texts.append(f"{part} {number(value)} {unit}{verdict}".strip())
        return ", ".join(texts)


def best(figure: Figure, readings: list[Reading]) -> Reading | None:
    """The turn that noise disturbed least; the others' values stand in the remarks."""
    if not readings:
        return None
    first = next(iter(readings[0].values))
    is_minimum = all(target.is_minimum for target in figure.targets.values())
    key = lambda reading: reading.values[first] * (1 if is_minimum else -1)  # noqa: E731
    chosen = max(readings, key=key)
    if len(readings) > 1:
        turns = " ".join(number(reading.values[first]) for reading in readings)
        return Reading(chosen.values, [*chosen.remarks, f"turns: {turns}"])
    return chosen


def sync_figures() -> str:
    """What one write and fdatasync of 4 KiB costs on the disk of the data directories."""
    with tempfile.NamedTemporaryFile() as file:
        block = os.urandom(4096)
        os.pwrite(file.fileno(), block * SYNCS, 0)
        os.fsync(file.fileno())
        times = []
        for index in range(SYNCS):
            started = time.perf_counter()
            os.pwrite(file.fileno(), block, 4096 * index)
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - started) * 1e3)
    times.sort()
    return f"p50 {times[SYNCS // 2]:.2f} ms, p99 {times[SYNCS * 99 // 100]:.2f} ms"


def machine() -> dict[str, str]:
    """What a reader must know to compare."""
    cpu = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    commit = output_of(["git", "-C", str(ROOT), "describe", "--always", "--dirty"]).strip()
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return {
        "processor": f"{os.cpu_count()} x {cpu[1] if cpu else 'unknown'}",
        "memory": f"{int(memory[1]) / 2**20:.0f} GiB" if memory else "unknown",
        "kernel": platform.release(),
        "compiler": output_of(["rustc", "--version"]).strip(),
        "build": "release: opt-level 3, fat LTO, one codegen unit",
        "commit": commit,
        "durability": "`local`: acknowledged after fdatasync",
        "write and fdatasync of 4 KiB": sync_figures(),
        "load average before": load,
    }


def report(
    bench: Bench, facts: dict[str, str], rows: list[Row], core: list[str], turns: int
) -> str:
    """The results file."""
    lines = [f"# Measured on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC", ""]
    lines += [f"- {name}: {value}" for name, value in facts.items()]
    lines.append(
        f"- each figure: {turns} turns of {bench.seconds:g} s after {bench.warmup:g} s of warm-up,"
        f" the best counts; {bench.users:,} users; load generator and server share the machine"
    )
    names = list(rows[0].readings) if rows else []
    for table in dict.fromkeys(row.figure.table for row in rows):
        lines += ["", f"## {table}", ""]
        lines += [
            "| work | target | " + " | ".join(names) + " |",
            "| --- | --- |" + " --- |" * len(names),
        ]
        for row in (row for row in rows if row.figure.table == table):
            target = ", ".join(
                f"{part} {target.text()}".strip() for part, target in row.figure.targets.items()
            )
            cells = [row.figure.what, target or "-"]
            ours = row.readings[names[0]]
            for name in names:
                reading = row.readings[name]
                text = row.value_text(reading)
                if reading is not None and ours is not None and name != names[0]:
                    part = next(iter(reading.values))
                    text += f"; ours is {ours.values[part] / reading.values[part]:.2f} times that"
                if reading is not None and reading.remarks:
                    text += "<br>" + "; ".join(reading.remarks)
                cells.append(text)
            lines.append("| " + " | ".join(cells) + " |")
    if core:
        lines += ["", "## Core alone", "", *core]
    return "\n".join(lines) + "\n"
