"""What the person who replays sees: progress while it runs, a table at the end."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from viabtc.replay.plan import Plan, plain

_PERCENTILES: Final = (("p50", 500), ("p90", 900), ("p99", 990), ("p99.9", 999))
"""Shown latencies; in thousandths."""

_PARTS: Final = 10
"""Lines of progress where there is no terminal."""


@dataclass(frozen=True, slots=True)
class Check:
    """Something that must hold."""

    name: str
    what: str
    is_ok: bool


@dataclass(slots=True)
class Outcome:
    """What came out."""

    plan: Plan
    events: int
    requests: dict[str, int] = field(default_factory=dict)
    """Answered requests by method."""
    volume: int = 0
    """Traded stock according to the answers to takers."""
    differences: list[str] = field(default_factory=list)
    """Answers that are not what they had to be."""
    seconds: float = 0.0
    latencies: Sequence[float] = ()
    """Seconds from sending to answer, ascending."""
    checks: list[Check] = field(default_factory=list)


@contextlib.contextmanager
def progress(console: Console, total: int) -> Iterator[Callable[[int], None]]:
    """Shows how many of `total` requests were answered: a bar, or lines without a terminal."""
    if not console.is_terminal:
        due = iter([*(total * part // _PARTS for part in range(1, _PARTS)), total])
        wanted = next(due)

        def say(done: int) -> None:
            nonlocal wanted
            if done >= wanted:
                console.print(f"{done} of {total} requests answered")
                while wanted <= done:
                    wanted = next(due, total + 1)

        yield say
        return
    columns = (
        TextColumn("replay"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("requests, {task.percentage:.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("replay", total=total)
        yield lambda done: bar.update(task, completed=done)


def show(console: Console, outcome: Outcome) -> None:
    """Prints the table."""
    table = Table(title=f"Replay in {outcome.plan.market.name}", show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_column()
    for name, what in _figures(outcome):
        table.add_row(name, what, "")
    table.add_section()
    for check in outcome.checks:
        verdict = Text("OK", "green") if check.is_ok else Text("FAILED", "bold red")
        table.add_row(check.name, Text(check.what), verdict)
    if not console.is_terminal:
        # A line must not be folded for a width that nobody sees.
        console = Console(file=console.file, width=200, highlight=False)
    console.print(table)


def _figures(outcome: Outcome) -> Iterator[tuple[str, str]]:
    plan, market = outcome.plan, outcome.plan.market
    answered = sum(outcome.requests.values())
    by_method = ", ".join(f"{count} {method}" for method, count in outcome.requests.items())
    placed = sum(count for method, count in outcome.requests.items() if "put" in method)
    yield "events", str(outcome.events)
    yield "requests", f"{answered}: {by_method}"
    yield "orders", str(placed)
    yield "trades", str(plan.deals)
    decimals = market.stock_prec + market.money_prec
    turnover = plain(plan.turnover, decimals)
    if decimals:
        turnover = turnover.rstrip("0").rstrip(".")
    volume = plain(outcome.volume, market.stock_prec)
    yield "volume", f"{volume} {market.stock} for {turnover} {market.money}"
    if outcome.seconds:
        rate = f"{answered / outcome.seconds:.0f}"
        yield "speed", f"{rate} requests/s, {outcome.seconds:.1f} s on one connection"
    if outcome.latencies:
        shown = [f"{name} {_at(outcome.latencies, part):.2f}" for name, part in _PERCENTILES]
        yield "latency, ms", ", ".join([*shown, f"max {outcome.latencies[-1] * 1e3:.2f}"])


def _at(latencies: Sequence[float], part: int) -> float:
    """Milliseconds within which `part` thousandths were answered."""
    return latencies[min(len(latencies) - 1, len(latencies) * part // 1000)] * 1e3
