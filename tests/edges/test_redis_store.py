"""Market data in a real Redis: what is read back, removed and refused."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import pytest
from redis.asyncio import Connection

from harness.redis_cluster import Node
from viabtc.edges.redis import RedisSettings, open_redis
from viabtc.marketprice.redis_store import RedisStore
from viabtc.marketprice.store import (
    LENGTHS,
    MarketChanges,
    Position,
    StoreConflictError,
    Stored,
    StoreError,
)

NAME: Final = "BTCUSDT"

CANDLE: Final = '["1", "2", "3", "1", "5", "6"]'

T = TypeVar("T")


def act(redis: Node, work: Callable[[RedisStore], Awaitable[T]]) -> T:
    """Does something with a store that is opened for it."""

    async def run() -> T:
        settings = RedisSettings("", (("127.0.0.1", redis.port),), 0)
        async with open_redis(settings, is_once=True) as client:
            return await work(RedisStore(client))

    return asyncio.run(run())


def changes(times: list[int]) -> list[MarketChanges]:
    candles = {length: [(time, CANDLE) for time in times] for length in LENGTHS}
    return [{"market": NAME, "last": "2", "candles": candles, "deals": ['{"id": 1}']}]


def save(redis: Node, times: list[int], position: Position) -> None:
    async def work(store: RedisStore) -> None:
        await store.load({})
        await store.save(changes(times), position)

    act(redis, work)


def load(redis: Node, **kept_from: int) -> tuple[Position | None, dict[str, Stored]]:
    return act(redis, lambda store: store.load(kept_from))


def test_an_offset_that_an_original_moved_is_where_it_goes_on(redis: Node) -> None:
    save(redis, [60], Position(offset=3, number=4))
    assert load(redis)[0] == Position(offset=3, number=4)
    with redis.client() as client:
        client.set("k:offset", 70_000)
    assert load(redis)[0] == Position(offset=70_000)


def test_what_is_old_is_neither_read_nor_kept_but_days_are(redis: Node) -> None:
    save(redis, list(range(60, 15_000)), Position(offset=1))
    limits = {"1s": 14_000, "1m": 14_900, "1h": 60}
    _, markets = load(redis, **limits)
    expected = {length: 15_000 - limits.get(length, 60) for length in LENGTHS}
    assert {length: len(rows) for length, rows in markets[NAME].candles.items()} == expected
    act(redis, lambda store: store.clean(limits))
    with redis.client() as client:
        assert {length: client.hlen(f"k:{NAME}:{length}") for length in LENGTHS} == expected
        assert {int(field) for field in client.hkeys(f"k:{NAME}:1s")} == set(range(14_000, 15_000))


def fail_from(patch: pytest.MonkeyPatch, name: str, place: int) -> None:
    """Lets connections be lost when they do something the `place`-th time, and from then on."""
    act_or_fail = getattr(Connection, name)
    count = 0

    async def act_then_fail(connection: Any, *arguments: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        if count >= place:
            raise ConnectionResetError
        return await act_or_fail(connection, *arguments, **options)

    patch.setattr(Connection, name, act_then_fail)


@pytest.mark.parametrize("step", ["send_packed_command", "read_response"])
def test_a_connection_that_is_lost_is_not_taken_for_lost_data(
    redis: Node, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    first, second = Position(offset=1), Position(offset=2)
    outcomes = set()
    for place in range(1, 200):
        with redis.client() as client:
            client.flushall()
        save(redis, [60], first)

        async def work(store: RedisStore, place: int = place) -> bool:
            await store.load({})
            with monkeypatch.context() as patch:
                fail_from(patch, step, place)
                try:
                    await store.save(changes([120]), second)
                except StoreConflictError:
                    raise
                except StoreError:
                    is_failed = True
                else:
                    is_failed = False
            if not await store.holds(second):
                # What was not stored is stored the next time.
                assert is_failed
                await store.save(changes([120]), second)
                outcomes.add("again")
            else:
                outcomes.add("unanswered" if is_failed else "stored")
            return is_failed

        is_failed = act(redis, work)
        position, markets = load(redis)
        assert position == second
        assert sorted(time for time, _ in markets[NAME].candles["1s"]) == [60, 120]
        assert len(markets[NAME].deals) == 2
        if not is_failed:
            break
    assert outcomes >= {"again", "stored"}
    assert ("unanswered" in outcomes) == (step == "read_response")


def test_what_is_written_anew_is_there_wholly_or_not_at_all(
    redis: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, fresh = [60, 120], list(range(60, 12_000, 60))
    for attempt in range(1, 200):
        with redis.client() as client:
            client.flushall()
            save(redis, old, Position(offset=1))
            with monkeypatch.context() as patch:
                fail_from(patch, "send_packed_command", attempt)
                try:
                    act(redis, lambda store: store.replace(changes(fresh), Position(offset=2)))
                except StoreError:
                    expected = (Position(offset=1), old)
                else:
                    expected = (Position(offset=2), fresh)
            position, markets = load(redis)
            found = [sorted(time for time, _ in rows) for rows in markets[NAME].candles.values()]
            assert (position, found) == (expected[0], [expected[1]] * 4), attempt
            assert not client.keys("viabtc:new:*")
        if expected[1] == fresh:
            break
    assert expected[1] == fresh, "it never came to an end"
    assert attempt > 8, "every step failed once"


@pytest.mark.parametrize("field", ["", "x", "-60", "1.5", "9" * 5_000])
def test_fields_that_are_no_times_harm_nobody(redis: Node, field: str) -> None:
    save(redis, [60, 120], Position(offset=1))
    with redis.client() as client:
        client.hset(f"k:{NAME}:1m", field, CANDLE)
        _, markets = load(redis)
        assert sorted(markets[NAME].candles["1m"]) == [
            (60, CANDLE.encode()),
            (120, CANDLE.encode()),
        ]
        act(redis, lambda store: store.clean({"1m": 100}))
        assert set(client.hkeys(f"k:{NAME}:1m")) == {field.encode(), b"120"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("k:offset", b"x"),
        ("k:offset", b"-1"),
        ("k:offset", b"9" * 5_000),
        ("viabtc:position", b"x"),
        ("viabtc:position", b"[]"),
        ("viabtc:position", b"{}"),
        (b"k:\xff:last", b"1"),
    ],
)
def test_keys_that_cannot_be_right_are_named(redis: Node, key: Any, value: bytes) -> None:
    save(redis, [60], Position(offset=1))
    with redis.client() as client:
        client.set(key, value)
    with pytest.raises(StoreError) as caught:
        load(redis)
    name = key if isinstance(key, str) else repr(key)
    assert name in str(caught.value)


def test_a_position_is_written_with_what_it_belongs_to(redis: Node) -> None:
    save(redis, [60], Position(offset=8, number=2))
    with redis.client() as client:
        assert client.get("k:offset") == b"8"
        assert json.loads(client.get("viabtc:position") or b"") == {"offset": 8, "number": 2}
        assert client.lrange(f"k:{NAME}:deals", 0, -1) == [b'{"id": 1}']
