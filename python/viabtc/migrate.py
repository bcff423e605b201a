"""`viabtc migrate`: our engine goes on where a stopped original left its databases.

The newest slice and the operation log behind it become the beginning of a journal. The histories
stay where they are, and ours are added behind them; nothing of the original's is changed.

Where an engine of ours was there before the original, the journal counts its commands behind that
one's, so that positions in databases and numbers in topics go on.
"""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

from viabtc import _core
from viabtc.edges.mysql import MysqlReader
from viabtc.edges.store import StoreError
from viabtc.matchengine.log import LogReader, Operation
from viabtc.matchengine.settings import MatchengineSettings, read_matchengine
from viabtc.matchengine.succession import find_earlier, go_on_behind
from viabtc.service.failure import EXIT_CONFIGURATION, StartFailure

_SHOWN: Final = 10
"""Log entries that are shown one by one."""


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
    earlier = await find_earlier(settings.databases)
    source = LogReader(MysqlReader(settings.databases.log, 1))
    try:
        slices = await source.slices()
        piece = await source.content(slices[-1] if slices else None)
        operations = [
            operation async for page in source.operations(piece["operlog_id"]) for operation in page
        ]
    finally:
        await source.close()
    cut = _cut_changes(settings.engine.config, operations)
    report = await asyncio.to_thread(
        _core.take_over,
        settings.engine.config,
        str(settings.engine.data),
        **piece,
        operations=[operation.row() for operation in operations],
        sequence=earlier.sequence,
        epoch_min=earlier.epoch + 1 if earlier.sequence else 0,
    )
    if earlier.sequence:
        await go_on_behind(settings.databases, earlier)
        print(f"before     an engine of ours was there: goes on behind command {earlier.sequence}")
        for name, count in earlier.lacking:
            print(f"before     {name} lacks the last {count} commands of that engine")
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


def _cut_changes(config: str, operations: Sequence[Operation]) -> list[str]:
    """Entries whose change has more decimals than took effect, in words."""
    assets = json.loads(config)["assets"]
    shown = {asset["name"]: asset.get("prec_show", asset["prec_save"]) for asset in assets}
    lines = []
    for operation in operations:
        params = operation.params
        if len(params) != 6 or params[1] not in shown:  # noqa: PLR2004 - those of update_balance
            continue
        exponent = Decimal(params[4]).normalize().as_tuple().exponent
        if isinstance(exponent, int) and -exponent > shown[params[1]]:
            lines.append(f"entry {operation.id}: user {params[0]}, {params[1]} {params[4]}")
    return lines
