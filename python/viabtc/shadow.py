"""`viabtc shadow`: our engine beside a running original, compared with each slice that it makes.

Our state begins with a slice, or with the first entry of a log that is complete. The entries of
the operation log up to each further slice are applied to it, as the original applied them, and
then both states are compared: every balance, every open order, the counters. Nothing is written.

Times of orders are not compared: an original that was started again gives those that it redid the
time of that start.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from viabtc import _core
from viabtc.edges.mysql import MysqlReader
from viabtc.edges.store import StoreError
from viabtc.matchengine.log import LogReader, SliceRow
from viabtc.matchengine.settings import MatchengineSettings, read_matchengine
from viabtc.service.failure import EXIT_CONFIGURATION, StartFailure

EXIT_DIFFERENT: Final = 1

_LOOK_S: Final = 1.0
"""Pause between looks for a new slice."""

_BALANCE_DECIMALS: Final = 16
_FEE_DECIMALS: Final = 12
"""What a slice keeps of a balance and of an order's fee: a state that began with one may differ by
a unit of the last, where there are more."""

_NUMBERS: Final = (
    *("price", "amount", "taker fee", "maker fee", "left", "traded base", "traded quote", "fee"),
)
_FREEZE: Final = 5
"""Where the column `freeze` stands among an order's numbers."""

_PAGE_ROWS: Final = 10_000

_ZERO: Final = Decimal(0)

Balances = Mapping[tuple[int, str, int], Decimal]
"""By user, asset and kind (1 available, 2 frozen)."""

Orders = Mapping[int, tuple[int, str, int, tuple[Decimal, ...]]]
"""By id: user, market, side, numbers."""


def shadow(path: Path, slices: int, *, is_complete: bool) -> int:
    """Follows and compares; prints each comparison; the exit code.

    Args:
        path: The running original's matchengine file.
        slices: How many are compared; 0 for all that come.
        is_complete: Whether the log begins with the first entry ever, and so do we.

    Raises:
        SettingsError, StartFailure: it cannot be followed.
    """
    settings, _ = read_matchengine(path)
    if settings.databases is None:
        raise StartFailure(
            f"{path} names no databases",
            "name the file that the original runs with: db_log and db_history",
            EXIT_CONFIGURATION,
        )
    source = LogReader(MysqlReader(settings.databases.log, 1))
    try:
        return asyncio.run(_follow(settings, source, slices, is_complete=is_complete))
    except (StoreError, ValueError) as error:
        raise StartFailure(
            f"the operation log cannot be followed: {error}",
            "start MySQL, and use the original's own file",
        ) from error


async def _follow(
    settings: MatchengineSettings, source: LogReader, slices: int, *, is_complete: bool
) -> int:
    try:
        known = [] if is_complete else (await source.slices())[-1:]
        first = known[0] if known else None
        config = settings.engine.config
        content = await source.content(first)
        state = await asyncio.to_thread(_core.Slice.of_tables, config, "sqlite", **content)
        begin = f"the slice of {first.time}" if first else "the first entry"
        print(f"begins with {begin}, behind entry {state.operlog_id}", flush=True)
        scales = _scales(config) if first else {}
        compared = 0
        async for row in _new_slices(source, first.id if first else 0):
            await _redo(source, state, row)
            lines = [*_differences(state, await source.content(row), row, scales)]
            _report(row, lines)
            compared += 1
            if lines or compared == slices:
                return EXIT_DIFFERENT if lines else 0
    except _core.StartError as error:
        print(f"different: {error.args[0]}")
        return EXIT_DIFFERENT
    finally:
        await source.close()
    raise AssertionError("slices never end")


async def _new_slices(source: LogReader, after: int) -> AsyncIterator[SliceRow]:
    while True:
        for row in await source.slices(after):
            after = row.id
            yield row
        await asyncio.sleep(_LOOK_S)


async def _redo(source: LogReader, state: _core.Slice, row: SliceRow) -> None:
    """Applies entries up to a slice's last, which may be in the log a moment after the slice."""
    while True:
        async for page in source.operations(state.operlog_id, row.operlog_id):
            await asyncio.to_thread(state.redo, [operation.row() for operation in page])
        if state.operlog_id >= row.operlog_id:
            return
        await asyncio.sleep(_LOOK_S)


def _report(row: SliceRow, lines: list[str]) -> None:
    entry = f"slice of {row.time}, entry {row.operlog_id}"
    print(f"{entry}: {len(lines)} differences" if lines else f"{entry}: the same", flush=True)
    for line in lines:
        print(f"  {line}")


def _differences(
    state: _core.Slice, content: dict[str, Any], row: SliceRow, scales: Mapping[str, int]
) -> Iterator[str]:
    """What differs, in words: first ours, then the slice's."""
    for name, ours, theirs in (
        ("last entry of the log", state.operlog_id, row.operlog_id),
        ("last order", state.order_id, row.last_order),
        ("last deal", state.deal_id, row.last_deal),
    ):
        if ours != theirs:
            yield f"{name}: {ours} here, {theirs} in the slice"
    their_balances = {
        (user, asset, kind): Decimal(text) for user, asset, kind, text in content["balances"]
    }
    yield from _compare_balances(_balances(state), their_balances, scales)
    their_orders = {
        number: (user, market, side, tuple(map(Decimal, texts)))
        for number, side, _, _, user, market, texts in content["orders"]
    }
    yield from _compare_orders(_orders(state), their_orders, is_rounded=bool(scales))


def _compare_balances(ours: Balances, theirs: Balances, scales: Mapping[str, int]) -> Iterator[str]:
    for key in sorted(ours.keys() | theirs.keys()):
        user, asset, kind = key
        mine, other = ours.get(key, _ZERO), theirs.get(key, _ZERO)
        is_rounded = scales.get(asset, 0) > _BALANCE_DECIMALS
        if abs(mine - other) > (_unit(_BALANCE_DECIMALS) if is_rounded else _ZERO):
            name = "available" if kind == 1 else "frozen"
            yield f"user {user}, {asset} {name}: {mine:f} here, {other:f} in the slice"


def _compare_orders(ours: Orders, theirs: Orders, *, is_rounded: bool) -> Iterator[str]:
    for number in sorted(ours.keys() | theirs.keys()):
        mine, other = ours.get(number), theirs.get(number)
        if mine is None or other is None:
            yield f"order {number} is open {'in the slice' if mine is None else 'here'} only"
            continue
        if mine[:3] != other[:3]:
            yield f"order {number}: (user, market, side) {mine[:3]} here, {other[:3]} in the slice"
        for name, left, right in zip(_NUMBERS, mine[3], other[3], strict=True):
            bound = _unit(_FEE_DECIMALS) if is_rounded and name == "fee" else _ZERO
            if abs(left - right) > bound:
                yield f"order {number}, {name}: {left:f} here, {right:f} in the slice"


def _balances(state: _core.Slice) -> Balances:
    rows: list[tuple[Any, ...]] = []
    state.balances("", _PAGE_ROWS, rows.extend)
    return {(user, asset, kind): Decimal(text) for _, user, asset, kind, text in rows}


def _orders(state: _core.Slice) -> Orders:
    rows: list[tuple[Any, ...]] = []
    state.orders("", _PAGE_ROWS, rows.extend)
    orders = {}
    for number, _, side, _, _, user, market, *texts in rows:
        # What is frozen follows from the others, and the original ignores it.
        del texts[_FREEZE]
        orders[number] = (user, market, side, tuple(map(Decimal, texts)))
    return orders


def _unit(decimals: int) -> Decimal:
    return Decimal(1).scaleb(-decimals)


def _scales(config: str) -> dict[str, int]:
    return {asset["name"]: asset["prec_save"] for asset in json.loads(config)["assets"]}
