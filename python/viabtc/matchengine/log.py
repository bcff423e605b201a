"""The log database as a start reads it: slices of either form, and the log behind them."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from viabtc.edges.mysql import MysqlReader
from viabtc.edges.store import balance_table, order_table

_COMMANDS: Final = {
    "update_balance": 102,
    "limit_order": 201,
    "market_order": 202,
    "cancel_order": 204,
}

_ONCE: Final = {"limit_order": 908, "market_order": 909}
"""Of orders that say that they take effect once; an original does not read that."""

_PAGE_ROWS: Final = 10_000
"""Rows that are read at once."""

_ORDER_NUMBERS: Final = (
    "`price`, `amount`, `taker_fee`, `maker_fee`, `left`, `deal_stock`, `deal_money`, `deal_fee`"
)


class LogReader:
    """Reads a log database."""

    def __init__(self, reader: MysqlReader) -> None:
        self._reader = reader

    async def close(self) -> None:
        await self._reader.close()

    async def slices(self, after: int = 0) -> list["SliceRow"]:
        """Slices that were registered behind the one with the id `after`, oldest first."""
        rows = await self._reader.fetch(
            "SELECT id, time, end_oper_id, end_order_id, end_deals_id FROM slice_history"
            " WHERE id > %s ORDER BY id",
            (after,),
        )
        return [SliceRow(*row) for row in rows]

    async def content(self, row: "SliceRow | None") -> dict[str, Any]:
        """A slice, as `take_over` wants it; an empty one for None."""
        if row is None:
            counters = dict.fromkeys(("time_us", "operlog_id", "last_order", "last_deal"), 0)
            return {**counters, "balances": [], "orders": []}
        balances = await self._all(
            balance_table(row.time), "`id`, `user_id`, `asset`, `t`, `balance`"
        )
        orders = await self._all(
            order_table(row.time),
            f"`id`, `side`, `create_time`, `update_time`, `user_id`, `market`, {_ORDER_NUMBERS}",
        )
        return {
            "time_us": row.time * 1_000_000,
            "operlog_id": row.operlog_id,
            "last_order": row.last_order,
            "last_deal": row.last_deal,
            "balances": [
                (user, asset, kind, f"{balance:f}") for _, user, asset, kind, balance in balances
            ],
            "orders": [
                (order, side, _us(made), _us(changed), user, market, [f"{n:f}" for n in numbers])
                for order, side, made, changed, user, market, *numbers in orders
            ],
        }

    async def newest_state(self) -> tuple[int, str, bytes] | None:
        """Sequence, digest and bytes of the newest exact state that counts; None without one."""
        rows = await self._reader.fetch(
            "SELECT MAX(`time`) FROM viabtc_slice"
            " WHERE `time` IN (SELECT `time` FROM slice_history)",
            (),
        )
        ((time,),) = rows
        if time is None:
            return None
        sql = "SELECT `sequence`, `digest`, `bytes` FROM viabtc_slice WHERE `time` = %s"
        pieces = await self._reader.fetch(f"{sql} ORDER BY `chunk`", (time,))
        sequence, digest, _ = pieces[0]
        return sequence, digest, b"".join(piece for _, _, piece in pieces)

    async def operations(
        self, after: int, last: int = 2**63 - 1
    ) -> AsyncIterator[list["Operation"]]:
        """Pages of the log behind the entry `after`, up to `last`, in its order."""
        for name in await self._days():
            async for page in self._pages(name, "`id`, `time`, `detail`", after, last):
                yield [_operation(*row) for row in page]

    async def last_id(self) -> int:
        """The last entry of the log; 0 for none."""
        for name in reversed(await self._days()):
            ((last,),) = await self._reader.fetch(f"SELECT MAX(id) FROM `{name}`", ())  # noqa: S608
            if last is not None:
                return int(last)
        return 0

    async def own_operations(self, after: int) -> list["Operation"]:
        """Commands of our own kinds behind the command `after`, in their order.

        The number of each is that of the entry that it came after.
        """
        rows = await self._reader.fetch(
            "SELECT after_operlog_id, body FROM viabtc_operlog"
            " WHERE sequence > %s ORDER BY sequence",
            (after,),
        )
        found = []
        for number, body in rows:
            entry = json.loads(body)
            found.append(Operation(number, entry["time_us"], entry["command"], entry["params"]))
        return found

    async def settings(self, before: int) -> list["KeptSettings"]:
        """Settings that commands up to `before` were decided by, oldest first."""
        rows = await self._reader.fetch(
            "SELECT `sequence`, `epoch`, `body` FROM viabtc_settings"
            " WHERE `sequence` < %s ORDER BY `sequence`",
            (before,),
        )
        return [KeptSettings(*row) for row in rows]

    async def _days(self) -> list[str]:
        """Tables of the log, oldest first."""
        tables = await self._reader.fetch("SHOW TABLES LIKE %s", ("operlog\\_%",))
        return sorted(name for (name,) in tables if re.fullmatch(r"operlog_\d{8}", name))

    async def _all(self, table: str, columns: str) -> list[tuple[Any, ...]]:
        return [row async for page in self._pages(table, columns) for row in page]

    async def _pages(
        self, table: str, columns: str, after: int = 0, last: int = 2**63 - 1
    ) -> AsyncIterator[list[tuple[Any, ...]]]:
        while True:
            page = await self._reader.fetch(
                f"SELECT {columns} FROM `{table}` WHERE id > %s AND id <= %s"  # noqa: S608
                f" ORDER BY id LIMIT {_PAGE_ROWS}",
                (after, last),
            )
            if page:
                yield page
                after = page[-1][0]
            if len(page) < _PAGE_ROWS:
                return


@dataclass(frozen=True, slots=True)
class SliceRow:
    """What a slice is registered with."""

    id: int
    time: int
    operlog_id: int
    last_order: int
    last_deal: int


@dataclass(frozen=True, slots=True)
class KeptSettings:
    """What decided the commands behind `sequence`."""

    sequence: int
    epoch: int
    """Of the engine that began with them."""
    text: str
    """Assets and markets of its file, in JSON."""


@dataclass(frozen=True, slots=True)
class Operation:
    """An entry of the operation log."""

    id: int
    time_us: int
    command: int
    params: list[Any]

    def row(self) -> tuple[int, int, int, bytes]:
        """As the core takes it."""
        params = json.dumps(self.params, ensure_ascii=False).encode()
        return self.id, self.time_us, self.command, params


def _operation(number: int, time: float, detail: str) -> Operation:
    entry = json.loads(detail)
    commands = _ONCE if entry.get("once") else _COMMANDS
    return Operation(number, _us(time), commands[entry["method"]], entry["params"])


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)
