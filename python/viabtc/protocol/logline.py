"""A line of the original's log, and the levels that can be on or off. Source: ut_log.c."""

from datetime import datetime
from typing import Final

LEVELS: Final = (
    *("fatal", "error", "warn", "info", "notice", "debug", "trace"),
    *("user1", "user2"),
)
"""Each is on or off by itself; the order is that of the original's bits."""

VIP: Final = "vip"
"""Level of lines that are always written: start, stop, signals."""

STEPPED: Final = 8
"""So many of the levels a signal can turn on or off."""


def format_line(now: datetime, pid: int | None, level: str, place: str, text: str) -> str:
    """The line; `place` is `FILE:LINE(FUNCTION)`, the time is local."""
    process = "" if pid is None else f"[{pid}] "
    return f"[{now:%Y-%m-%d %H:%M:%S.%f}] {process}[{level}]{place}: {text}"


def read_levels(text: str) -> set[str]:
    """The levels of `log.flag`; unknown words are ignored."""
    words = set(text.replace(",", " ").lower().split())
    return words & set(LEVELS)


def one_more(levels: set[str]) -> str | None:
    """The level that comes next when one more is wanted; None when all are on."""
    return next((level for level in LEVELS[:STEPPED] if level not in levels), None)


def one_less(levels: set[str]) -> str | None:
    """The level that goes when one less is wanted; None when all are off."""
    return next((level for level in reversed(LEVELS[:STEPPED]) if level in levels), None)
