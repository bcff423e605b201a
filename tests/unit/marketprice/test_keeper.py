"""The keeper against a store that fails in every way a store can."""

import asyncio
import json
from typing import Any

import pytest

from viabtc import _core
from viabtc.marketprice import keeper as keeping
from viabtc.marketprice.keeper import Keeper
from viabtc.marketprice.store import (
    MarketChanges,
    Position,
    StoreConflictError,
    Stored,
    StoreError,
)


class Memory:
    """A store in memory that fails as it is told."""

    def __init__(self) -> None:
        self.found: Position | None = None
        self.deals: list[int] = []
        self.candles: dict[tuple[str, int], str] = {}
        self.failure = ""
        """`before` or `after` it took place, `conflict`."""
        self.cleaned = asyncio.Event()

    async def holds(self, position: Position) -> bool:
        return self.found == position

    async def load(self, kept_from: dict[str, int]) -> tuple[Position | None, dict[str, Stored]]:
        del kept_from
        return self.found, {}

    async def save(self, changes: list[MarketChanges], position: Position) -> None:
        failure, self.failure = self.failure, ""
        if failure == "before":
            raise StoreError("away")
        if failure == "conflict":
            raise StoreConflictError("lost")
        for market in changes:
            self.deals += [json.loads(deal)["id"] for deal in market["deals"]]
            for length, rows in market["candles"].items():
                self.candles |= {(length, time): text for time, text in rows}
        self.found = position
        if failure == "after":
            raise StoreError("no answer")

    async def replace(self, changes: list[MarketChanges], position: Position) -> None:
        self.deals, self.candles = [], {}
        await self.save(changes, position)

    async def clean(self, kept_from: dict[str, int]) -> None:
        assert sorted(kept_from) == ["1h", "1m", "1s"], "days are kept"
        self.cleaned.set()


class Silent:
    """A log that nobody reads."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


def message(number: int) -> tuple[int, bytes, int]:
    deal = [1795426011.5 + number, "M", 1, 2, 1, 2, "9.5", "1", "0", "0", 1, number]
    return number, json.dumps(deal).encode(), number


@pytest.fixture
def keeper() -> Keeper:
    board = _core.MarketBoard(["M"], first_candle_zero=False)
    return Keeper(board, Memory(), 1.0, Silent())


def store_of(keeper: Keeper) -> Memory:
    store = keeper._store
    assert isinstance(store, Memory)
    return store


@pytest.mark.parametrize("failure", ["before", "after", "conflict"])
def test_a_deal_is_stored_once_whatever_became_of_a_flush(keeper: Keeper, failure: str) -> None:
    async def play() -> None:
        store = store_of(keeper)
        number = 0
        for wanted in ("", failure, "", failure, failure, ""):
            number += 1
            keeper.board.apply_messages([message(number)])
            store.failure = wanted
            await keeper._try_flush()
        assert store.deals == list(range(1, number + 1))
        assert store.found == Position(offset=number, number=number)
        seconds = [time for length, time in store.candles if length == "1s"]
        assert sorted(seconds) == [1795426011 + n for n in range(1, number + 1)]
        assert keeper.failures == 0

    asyncio.run(play())


def test_nothing_is_written_when_nothing_happened(keeper: Keeper) -> None:
    async def play() -> None:
        await keeper.flush()
        await keeper.flush()
        assert keeper.flushes == 1, "a market is written before it trades, once"

    asyncio.run(play())


def test_a_store_is_cleaned_soon_after_a_start(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "CLEAN_INTERVAL_S", 0.01)
    keeper._interval_s = 0.001

    async def play() -> None:
        work = asyncio.create_task(keeper.run())
        await asyncio.wait_for(store_of(keeper).cleaned.wait(), 30)
        work.cancel()

    asyncio.run(play())


def test_a_store_that_lost_everything_is_written_anew_without_a_new_deal(keeper: Keeper) -> None:
    async def play() -> None:
        store = store_of(keeper)
        keeper.board.apply_messages([message(1)])
        await keeper.flush()
        store.found, store.deals, store.candles = None, [], {}
        await keeper.flush()
        assert store.deals == [1]
        assert await store.holds(Position(offset=1, number=1))
        assert keeper.rebuilds == 1
        await keeper.flush()
        assert keeper.rebuilds == 1

    asyncio.run(play())
