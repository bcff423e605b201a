"""The machine's time zone, as a table of offsets that the compiled module can use."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

LOCALTIME: Final = Path("/etc/localtime")
"""The machine's zone when the environment names none."""

DAY_S: Final = 86_400

_FIRST: Final = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp())
"""No exchange has older deals."""

_LAST: Final = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp())

ZoneTable = tuple[int, list[tuple[int, int]]]
"""Offset before the first change, then `(second, offset)` of each change; seconds east of UTC."""


class ZoneError(Exception):
    """No such time zone."""


def zone_table(name: str | None = None) -> ZoneTable:
    """The offsets of a zone such as `Asia/Shanghai`, or of the machine.

    Raises:
        ZoneError: it is not known here.
    """
    zone = _zone(name)

    def offset_at(second: int) -> int:
        delta = datetime.fromtimestamp(second, zone).utcoffset()
        return int(delta.total_seconds()) if delta is not None else 0

    first = offset = offset_at(_FIRST)
    changes: list[tuple[int, int]] = []
    # Clocks change twice a year; never twice within a day.
    for day in range(_FIRST + DAY_S, _LAST, DAY_S):
        later = offset_at(day)
        if later == offset:
            continue
        low, high = day - DAY_S, day
        while high - low > 1:
            middle = (low + high) // 2
            if offset_at(middle) == offset:
                low = middle
            else:
                high = middle
        changes.append((high, later))
        offset = later
    return first, changes


def _zone(name: str | None) -> ZoneInfo:
    name = name or os.environ.get("TZ", "").removeprefix(":")
    try:
        if name:
            return ZoneInfo(name)
        with LOCALTIME.open("rb") as file:
            return ZoneInfo.from_file(file, key="local")
    except FileNotFoundError:
        return ZoneInfo("UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ZoneError(f'"{name}" is no time zone of this machine') from error
