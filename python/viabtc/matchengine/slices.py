"""Slices: the newest snapshot in the original's tables, and exactly beside them.

They are made by the process that makes snapshots, never by the engine's.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from viabtc import _core
from viabtc.edges.mysql_slices import MysqlSlices
from viabtc.edges.sqlite_slices import SqliteSlices
from viabtc.edges.store import SliceEnd, SliceStore, StoreError, balance_table, order_table
from viabtc.matchengine.settings import read_matchengine
from viabtc.service.failure import EXIT_CONFIGURATION, StartFailure

_ROWS: Final = 1_000
"""Rows of a statement, as the original's."""

_PIECE_BYTES: Final = 256 << 10
"""Of the exact state in one row; twice as much as a statement's text."""


@dataclass(frozen=True, slots=True)
class SlicePlace:
    """Where a slice goes, as the child that writes it is told."""

    config: Path | None = None
    """A matchengine file, whose `db_log` it goes to; its password is on no command line."""
    epoch: int = 0
    """Of the engine's lease there."""
    store: Path | None = None
    """An embedded store."""

    def arguments(self) -> list[str]:
        """For `viabtc journal slice`."""
        if self.store is not None:
            return ["--store", str(self.store)]
        return ["--config", str(self.config), "--epoch", str(self.epoch)]


def slice_into(directory: Path, place: SlicePlace, time: int, keep_s: int) -> SliceEnd | None:
    """Writes the newest snapshot as a slice; None when there is no snapshot.

    Raises:
        SettingsError, StartError: the file or the snapshot cannot be used.
        StartFailure: the slice does not count.
    """
    try:
        with _open(place) as store:
            return write_slice(directory, store, time, keep_s)
    except StoreError as error:
        raise StartFailure(
            f"the slice of {time} was not written: {error}",
            "start the database, or run `viabtc schema`; the engine tries again by itself",
        ) from error


@contextlib.contextmanager
def _open(place: SlicePlace) -> Iterator[SliceStore]:
    if place.store is not None:
        with SqliteSlices(place.store) as embedded:
            yield embedded
        return
    databases = None if place.config is None else read_matchengine(place.config)[0].databases
    if databases is None:
        raise StartFailure(
            "no place for a slice was named",
            "name --store FILE, or a --config FILE with db_log",
            EXIT_CONFIGURATION,
        )
    with MysqlSlices(databases.log, place.epoch) as store:
        yield store


def write_slice(directory: Path, store: SliceStore, time: int, keep_s: int) -> SliceEnd | None:
    """Writes the newest snapshot as the slice of a time; None when there is no snapshot.

    Args:
        directory: Of the engine.
        store: An open one.
        time: In seconds; not after the first command that the snapshot lacks.
        keep_s: Slices older than this before `time` are removed.

    Raises:
        StoreError: it does not count, and is removed by the next one.
        StartError: the snapshot cannot be read.
    """
    piece = _core.Slice.of_newest_snapshot(str(directory), store.rendering)
    if piece is None:
        return None
    store.begin(time)
    chunk = 0

    def write_state(content: bytes) -> None:
        nonlocal chunk
        store.write_state(time, piece.sequence, chunk, content, piece.digest)
        chunk += 1

    # First of all, so that an unfinished slice is known by it.
    piece.state(_PIECE_BYTES, write_state)
    orders, balances = order_table(time), balance_table(time)
    piece.orders(orders, _ROWS, lambda page: store.write(orders, page))
    piece.balances(balances, _ROWS, lambda page: store.write(balances, page))
    end = SliceEnd(time, piece.operlog_id, piece.order_id, piece.deal_id)
    store.register(end)
    store.remove_before(time - keep_s)
    return end
