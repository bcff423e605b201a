"""`viabtc migrate`: our engine goes on where a stopped original left its databases.

The newest slice and the operation log behind it become the beginning of a journal. The histories
stay where they are, and ours are added behind them; nothing of the original's is changed.
"""

import asyncio
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from viabtc import _core
from viabtc.edges.mysql import MysqlReader
from viabtc.edges.store import StoreError
from viabtc.matchengine.settings import MatchengineSettings, read_matchengine
from viabtc.service.failure import EXIT_CONFIGURATION, StartFailure

_COMMANDS: Final = {
    "update_balance": 102,
    "limit_order": 201,
    "market_order": 202,
    "cancel_order": 204,
}

_PAGE_ROWS: Final = 10_000
"""Rows that are read at once."""

_SHOWN: Final = 10
"""Log entries that are shown one by one."""

_ORDER_NUMBERS: Final = (
    "`price`, `amount`, `taker_fee`, `maker_fee`, `left`, `deal_stock`, `deal_money`, `deal_fee`"
)


def migrate(path: Path) -> int:
    """Takes over; prints what was found; the exit code.

    Raises:
        SettingsError, StartFailure: it cannot be done; nothing was changed.
    """
    settings, _ = read_matchengine(path)
    if settings.databases is None:
        raise StartFailure(
            f"{path} names no databases",
            "name the file that the original ran with: db_log and db_history",
            EXIT_CONFIGURATION,
        )
    try:
        return asyncio.run(_migrate(settings))
    except (StoreError, ValueError) as error:
        raise StartFailure(
            f"the databases cannot be taken over: {error}",
            "stop the original, start MySQL, and use the original's own file",
        ) from error


async def _migrate(settings: MatchengineSettings) -> int:
    assert settings.databases is not None  # noqa: S101 - the caller looked
    source = _Source(MysqlReader(settings.databases.log, 1))
    try:
        piece = await source.slice()
        operations = await source.operations(piece["operlog_id"])
    finally:
        await source.close()
    cut = _cut_changes(settings.engine.config, operations)
    report = await asyncio.to_thread(
        _core.take_over,
        settings.engine.config,
        str(settings.engine.data),
        **piece,
        operations=[operation[:4] for operation in operations],
    )
    when = datetime.fromtimestamp(piece["time_us"] / 1e6, UTC).isoformat(timespec="seconds")
    print(f"slice      of {when}: {len(piece['orders'])} orders, {len(piece['balances'])} balances")
    print(f"log        {len(operations)} entries behind it, the last is {report['operlog_id']}")
    print(f"ids        last order {report['order_id']}, last deal {report['deal_id']}")
    for asset, total in report["sums"].items():
        print(f"balances   {asset} {total}")
    for market, count in report["orders"].items():
        print(f"orders     {market} {count}")
    print(f"state      audited, digest {report['digest']}")
    if cut:
        print(
            f"{len(cut)} changes of balances have more decimals than took effect; they count as"
            " they did when they came, and the original would replay them otherwise:"
        )
        for line in cut[:_SHOWN]:
            print(f"  {line}")
    print(f"Taken over into {settings.engine.data}; start `viabtc matchengine` with this file.")
    return 0


class _Source:
    """Reads an original's log database."""

    def __init__(self, reader: MysqlReader) -> None:
        self._reader = reader

    async def close(self) -> None:
        await self._reader.close()

    async def slice(self) -> dict[str, Any]:
        """The newest slice, as `take_over` wants it; an empty one when there is none."""
        rows = await self._reader.fetch(
            "SELECT time, end_oper_id, end_order_id, end_deals_id FROM slice_history"
            " ORDER BY id DESC LIMIT 1",
            (),
        )
        if not rows:
            counters = dict.fromkeys(("time_us", "operlog_id", "last_order", "last_deal"), 0)
            return {**counters, "balances": [], "orders": []}
        time, operlog_id, last_order, last_deal = rows[0]
        balances = await self._all(
            f"slice_balance_{time}", "`id`, `user_id`, `asset`, `t`, `balance`"
        )
        orders = await self._all(
            f"slice_order_{time}",
            f"`id`, `side`, `create_time`, `update_time`, `user_id`, `market`, {_ORDER_NUMBERS}",
        )
        return {
            "time_us": time * 1_000_000,
            "operlog_id": operlog_id,
            "last_order": last_order,
            "last_deal": last_deal,
            "balances": [
                (user, asset, kind, f"{balance:f}") for _, user, asset, kind, balance in balances
            ],
            "orders": [
                (order, side, _us(made), _us(changed), user, market, [f"{n:f}" for n in numbers])
                for order, side, made, changed, user, market, *numbers in orders
            ],
        }

    async def operations(self, after: int) -> list[tuple[int, int, int, bytes, list[Any]]]:
        """The log behind an entry: number, time, command, parameters as text and as values."""
        tables = await self._reader.fetch("SHOW TABLES LIKE %s", ("operlog\\_%",))
        names = [name for (name,) in tables]
        found = []
        for name in sorted(name for name in names if re.fullmatch(r"operlog_\d{8}", name)):
            for number, time, detail in await self._all(name, "`id`, `time`, `detail`", after):
                entry = json.loads(detail)
                params = json.dumps(entry["params"], ensure_ascii=False).encode()
                found.append(
                    (number, _us(time), _COMMANDS[entry["method"]], params, entry["params"])
                )
        return sorted(found, key=lambda operation: operation[0])

    async def _all(self, table: str, columns: str, after: int = 0) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        while True:
            page = await self._reader.fetch(
                f"SELECT {columns} FROM `{table}` WHERE id > %s ORDER BY id LIMIT {_PAGE_ROWS}",  # noqa: S608
                (rows[-1][0] if rows else after,),
            )
            rows += page
            if len(page) < _PAGE_ROWS:
                return rows


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)


def _cut_changes(
    config: str, operations: Sequence[tuple[int, int, int, bytes, list[Any]]]
) -> list[str]:
    """Entries whose change has more decimals than took effect, in words."""
    assets = json.loads(config)["assets"]
    shown = {asset["name"]: asset.get("prec_show", asset["prec_save"]) for asset in assets}
    lines = []
    for number, _, _, _, params in operations:
        if len(params) != 6 or params[1] not in shown:  # noqa: PLR2004 - those of update_balance
            continue
        exponent = Decimal(params[4]).normalize().as_tuple().exponent
        if isinstance(exponent, int) and -exponent > shown[params[1]]:
            lines.append(f"entry {number}: user {params[0]}, {params[1]} {params[4]}")
    return lines
