"""Pushes lead from any state to the next one, and say nothing when nothing changed."""

import json
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from viabtc.accessws.pushes import (
    CLEAN_INTERVAL_S,
    DepthPushes,
    FigurePushes,
    KlinePushes,
    PricePushes,
    Push,
    deals_frame,
    differences,
    encode,
)

Side = dict[Decimal, Decimal]

AMOUNTS = st.decimals(min_value="0.01", max_value=99, places=2)
SIDES = st.dictionaries(st.decimals(min_value=1, max_value=20, places=1), AMOUNTS, max_size=8)
BOOKS = st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=6)


def levels(side: Side, *, is_descending: bool) -> list[list[str]]:
    ordered = sorted(side.items(), reverse=is_descending)
    return [[format(price, "f"), format(amount, "f")] for price, amount in ordered]


def book(asks: Side, bids: Side) -> dict[str, Any]:
    return {
        "asks": levels(asks, is_descending=False),
        "bids": levels(bids, is_descending=True),
    }


def params(text: bytes) -> Any:
    document = json.loads(text)
    assert list(document) == ["method", "params", "id"]
    assert document["id"] is None
    return document["params"]


def apply(shown: dict[str, Any] | None, push: bytes) -> dict[str, Any]:
    """What a client that keeps every level shows."""
    is_clean, sides, market = params(push)
    assert market == "BTCUSDT"
    if is_clean:
        return dict(sides)
    assert shown is not None
    result = {}
    for side, is_descending in (("asks", False), ("bids", True)):
        known = dict(shown[side])
        for price, amount in sides.get(side, []):
            if amount == "0":
                del known[price]
            else:
                known[price] = amount
        ordered = sorted(known, key=Decimal, reverse=is_descending)
        result[side] = [[price, known[price]] for price in ordered]
    return result


@settings(deadline=None)
@given(BOOKS, st.lists(st.integers(0, 70), min_size=6, max_size=6))
def test_differences_lead_from_each_book_to_the_next(
    books: list[tuple[Side, Side]], waits: list[int]
) -> None:
    pushes = DepthPushes("BTCUSDT")
    shown: dict[str, Any] | None = None
    now = 0.0
    clean_at = 0.0
    for (asks, bids), wait in zip(books, waits, strict=False):
        now += wait
        wanted = book(asks, bids)
        push = pushes.compose(encode(wanted), now)
        if push is None:
            assert shown == wanted
            continue
        assert params(push.snapshot) == [True, wanted, "BTCUSDT"]
        is_clean = params(push.update)[0]
        assert is_clean == (shown is None or now - clean_at >= CLEAN_INTERVAL_S)
        clean_at = now if is_clean else clean_at
        shown = apply(shown, push.update)
        assert shown == wanted


def test_changes_come_in_the_order_of_the_book_with_what_left_it() -> None:
    before = [("1", "5"), ("2", "5"), ("3", "5")]
    after = [("0.5", "1"), ("2", "6"), ("3", "5")]
    assert differences(before, after) == [("0.5", "1"), ("1", "0"), ("2", "6")]
    bids = differences(before[::-1], after[::-1], is_descending=True)
    assert bids == [("2", "6"), ("1", "0"), ("0.5", "1")]
    pushes = DepthPushes("X")
    pushes.compose(encode({"asks": before, "bids": before}), 0)
    push = pushes.compose(encode({"asks": after, "bids": before}), 1)
    assert push is not None
    assert params(push.update)[1] == {"asks": [["0.5", "1"], ["1", "0"], ["2", "6"]]}


def test_a_price_is_told_when_it_is_another_number() -> None:
    pushes = PricePushes("X")
    assert pushes.compose(b'"0.00"') is None
    assert pushes.compose(b'"100.50"') == Push(
        b'{"method": "price.update", "params": ["X", "100.50"], "id": null}',
        b'{"method": "price.update", "params": ["X", "100.5"], "id": null}',
    )
    assert pushes.compose(b'"100.500"') is None
    assert pushes.compose(b'"0"') is not None


def test_candles_are_told_when_the_last_of_them_changed() -> None:
    pushes = KlinePushes()
    assert pushes.compose(b"[]") is None
    first, second = [60, "1", "X"], [120, "2", "X"]
    push = pushes.compose(encode([first]))
    assert push is not None
    assert params(push.update) == [first]
    assert pushes.compose(encode([first])) is None
    push = pushes.compose(encode([first, second]))
    assert push is not None
    assert params(push.snapshot) == [first, second]


def test_figures_are_told_when_one_of_them_changed_also_the_first_time() -> None:
    pushes = FigurePushes("state.update", "X")
    push = pushes.compose(b'{"a": "0", "b": "0"}')
    assert push is not None
    assert params(push.update) == ["X", {"a": "0", "b": "0"}]
    assert pushes.compose(b'{"b": "0", "a": "0"}') is None
    assert pushes.compose(b'{"a": "0", "b": "1"}') is not None


def test_deals_stand_between_head_and_tail() -> None:
    head, tail = deals_frame('a"|b')
    assert params(head + b"1, 2" + tail) == ['a"|b', [1, 2]]
