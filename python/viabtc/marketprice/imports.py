"""Past deals, or past candles, from a file into a store whose market data begin after them."""

import asyncio
import csv
import json
from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

from viabtc import _core
from viabtc.marketprice.board import BoardSettings, new_board
from viabtc.marketprice.history import deal_message
from viabtc.marketprice.rebuild import RebuildError, Report, unchanged
from viabtc.marketprice.store import LENGTHS, RECENT_MAX, MarketChanges, Position, Store

DEAL_COLUMNS: Final = ("time", "market", "price", "amount", "side")
"""Of a file of deals; `id` may follow. Times are seconds, sides `sell` or `buy`."""

CANDLE_COLUMNS: Final = (
    *("time", "market", "interval"),
    *("open", "close", "high", "low", "volume", "deal"),
)
"""Of a file of candles. Times are the first seconds, intervals seconds; `deal` is the turnover."""

_FIRST_LINE: Final = 2
"""Of the rows: the names of the columns come before."""

_LENGTHS: Final = {"1": "1s", "60": "1m", "3600": "1h", "86400": "1d"}

_DIGITS_MAX: Final = 11
"""Of a second: candles of the year 3000 are a mistake."""

_BATCH: Final = 5_000

_SIDES: Final = {"sell": 1, "buy": 2}


async def from_file(store: Store, settings: BoardSettings, file: Path) -> Report:
    """Adds the deals or candles of a file to a store whose market data begin after them.

    Raises:
        RebuildError, StoreError: it cannot be done; nothing was changed.
    """
    board = await new_board(settings, (), debug=False)
    kept_from = board.kept_from()
    position, markets = await store.load(kept_from)
    has_ids = await asyncio.to_thread(_count_in, board, file)
    imported: list[MarketChanges] = board.take_changes()[1]
    wanted = {name: unchanged(name, stored) for name, stored in markets.items()}
    for market in imported:
        name = market["market"]
        wanted[name] = _earlier(market, wanted.get(name), kept_from, has_ids=has_ids)
    await store.replace(list(wanted.values()), position or Position())
    return {
        "ok": True,
        "markets": len(imported),
        "candles": sum(len(rows) for market in imported for rows in market["candles"].values()),
        "differences": [],
        "offset": position.offset if position is not None else None,
    }


def _count_in(board: _core.MarketBoard, file: Path) -> bool:
    """Puts the rows of a file into an empty board; whether all are deals with ids."""
    has_ids = True
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            rows = csv.DictReader(lines)
            if "open" in (rows.fieldnames or ()):
                _check_columns(file, rows, CANDLE_COLUMNS)
                _import_candles(board, file, rows)
                return False
            _check_columns(file, rows, DEAL_COLUMNS)
            batch: list[tuple[int, bytes | None, int | None]] = []
            for line, row in enumerate(rows, _FIRST_LINE):
                has_ids = has_ids and bool(row.get("id"))
                batch.append((line, _deal(file, line, row), None))
                if len(batch) == _BATCH:
                    _apply(board, file, batch)
                    batch.clear()
            _apply(board, file, batch)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RebuildError(f"{file} cannot be read: {error}") from error
    return has_ids


def _check_columns(file: Path, rows: "csv.DictReader[str]", wanted: Sequence[str]) -> None:
    missing = set(wanted) - set(rows.fieldnames or ())
    if missing:
        raise RebuildError(f"{file} lacks the columns {', '.join(sorted(missing))}")


def _import_candles(board: _core.MarketBoard, file: Path, rows: Iterable[dict[str, str]]) -> None:
    """Candles by market and length; lengths that a market lacks are made of the shorter ones."""
    found: dict[tuple[str, str], list[tuple[int, int, bytes]]] = {}
    for line, row in enumerate(rows, _FIRST_LINE):
        length, market = _LENGTHS.get(row["interval"]), row["market"]
        time = _second(row["time"])
        if length is None or time is None or not market:
            raise RebuildError(
                f"{file}, line {line}: interval is 1, 60, 3600 or 86400, time a whole second"
            )
        text = json.dumps([row[column] for column in CANDLE_COLUMNS[3:]]).encode()
        found.setdefault((market, length), []).append((time, line, text))
    for (market, length), candles in found.items():
        candles.sort()
        refused = board.import_candles(market, length, [(time, text) for time, _, text in candles])
        if refused is not None:
            raise RebuildError(
                f"{file}, line {candles[refused][1]}: the numbers are no candle, another has the"
                f" same time, or candles of {length} do not begin at this time"
            )
    for market in sorted({market for market, _ in found}):
        board.derive_longer(market)
    board.put_back_all()


def _second(text: str | None) -> int | None:
    """A whole second, or None."""
    is_number = text is not None and text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX
    return int(text) if is_number and text is not None else None


def _deal(file: Path, line: int, row: dict[str, str]) -> bytes:
    try:
        seconds = Decimal(row["time"])
        side, number = _SIDES[row["side"]], int(row.get("id") or line)
    except (InvalidOperation, KeyError, ValueError, TypeError) as error:
        raise RebuildError(
            f"{file}, line {line}: time is in seconds, side is sell or buy, id is an integer"
        ) from error
    return deal_message(seconds, row["market"], row["price"], row["amount"], side, number)


def _apply(
    board: _core.MarketBoard, file: Path, batch: Iterable[tuple[int, bytes | None, int | None]]
) -> None:
    report = board.apply_messages(list(batch))
    for line, reason in report["refused"]:
        raise RebuildError(f"{file}, line {line}: {reason}")


def _earlier(
    market: MarketChanges, known: MarketChanges | None, kept_from: dict[str, int], *, has_ids: bool
) -> MarketChanges:
    """Imported market data before those that are known."""
    candles = {
        length: [row for row in market["candles"][length] if row[0] >= kept_from.get(length, 0)]
        for length in LENGTHS
    }
    deals = market["deals"] if has_ids else []
    if known is None:
        return {**market, "candles": candles, "deals": deals}
    days = known["candles"]["1d"]
    if days and market["candles"]["1d"] and market["candles"]["1d"][-1][0] >= days[0][0]:
        raise RebuildError(
            f"{market['market']} has market data from second {days[0][0]} on, and the file has"
            " deals of that day or later; only older ones can be added"
        )
    return {
        "market": market["market"],
        "last": known["last"] if days else market["last"],
        "candles": {length: [*candles[length], *known["candles"][length]] for length in LENGTHS},
        "deals": [*deals, *known["deals"]][-RECENT_MAX:],
    }
