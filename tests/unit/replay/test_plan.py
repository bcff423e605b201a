"""What is made of events: requests, expectations, funds."""

from decimal import Decimal

import pytest

from harness.places import shared
from viabtc.replay.events import Event, FileProblem, Kind, Side, read_events
from viabtc.replay.plan import (
    TAKER,
    Cancel,
    Market,
    PlaceLimit,
    PlaceMarket,
    Plan,
    make_plan,
    plain,
    units,
)

MARKET = Market("BTCUSDT", "BTC", "USDT", 4, 2, 4, Decimal("0.001"))


def plan_of(*lines: str, market: Market = MARKET) -> Plan:
    """Lines such as `add 1 bid 10 0.5`."""
    events = []
    for number, line in enumerate(lines, 2):
        kind, order_id, side, price, amount = line.split()
        events.append(
            Event(
                number,
                Kind(kind),
                order_id,
                Side[side.upper()],
                Decimal(price),
                Decimal(amount),
            )
        )
    return make_plan(events, market)


def shape(plan: Plan) -> list[str]:
    """The requests, as far as they differ between these tests."""
    rows = []
    for step in plan.steps:
        if isinstance(step, Cancel):
            rows.append(f"cancel left {step.left}")
        elif isinstance(step, PlaceLimit):
            side = step.side.name.lower()
            rows.append(f"limit {side} {step.amount} @ {step.price} left {step.left}")
        else:
            rows.append(f"market {step.side.name.lower()} {step.amount} traded {step.traded}")
    return rows


def test_a_delete_is_a_cancel_and_a_change_of_price_a_cancel_and_an_order() -> None:
    plan = plan_of("add 1 bid 10 1", "change 1 bid 9.5 1", "delete 1 bid 9.5 1")
    assert shape(plan) == [
        "limit bid 10000 @ 1000 left 10000",
        "cancel left 10000",
        "limit bid 10000 @ 950 left 10000",
        "cancel left 10000",
    ]


def test_less_at_the_best_price_is_a_market_order_of_somebody_else() -> None:
    plan = plan_of("add 1 bid 10 1", "change 1 bid 10 0.6", "add 2 ask 11 1", "change 2 ask 11 0.9")
    assert shape(plan) == [
        "limit bid 10000 @ 1000 left 10000",
        "market ask 4000 traded 4000",
        "limit ask 10000 @ 1100 left 10000",
        "market bid 11000 traded 1000",
    ]
    takers = [step.user for step in plan.steps if isinstance(step, PlaceMarket)]
    assert takers == [TAKER, TAKER]
    assert plan.book.levels(Side.BID) == [(1000, 6000)]
    assert plan.book.levels(Side.ASK) == [(1100, 9000)]


def test_less_behind_the_best_price_and_more_anywhere_are_replaced() -> None:
    plan = plan_of(
        "add 1 bid 10 1", "add 2 bid 9 1", "change 2 bid 9 0.5", "change 1 bid 10 1.0001"
    )
    assert shape(plan)[2:] == [
        "cancel left 10000",
        "limit bid 5000 @ 900 left 5000",
        "cancel left 10000",
        "limit bid 10001 @ 1000 left 10001",
    ]


def test_orders_hit_in_place_of_the_changed_one_are_put_back() -> None:
    plan = plan_of("add 1 bid 10 1", "add 2 bid 10 1", "change 2 bid 10 0.25")
    assert shape(plan)[2:] == [
        "market ask 7500 traded 7500",
        "cancel left 2500",
        "limit bid 10000 @ 1000 left 10000",
        "cancel left 10000",
        "limit bid 2500 @ 1000 left 2500",
    ]
    assert {order.key: order.left for order in plan.book.orders(Side.BID)} == {
        "1": 10000,
        "2": 2500,
    }


def test_an_add_that_crosses_trades_and_later_events_end_where_the_file_does() -> None:
    plan = plan_of("add 1 ask 10 1", "add 2 bid 11 2", "change 1 ask 12 1", "change 2 bid 11 2")
    assert shape(plan) == [
        "limit ask 10000 @ 1000 left 10000",
        "limit bid 20000 @ 1100 left 10000",
        "limit ask 10000 @ 1200 left 10000",
        "cancel left 10000",
        "limit bid 20000 @ 1100 left 20000",
    ]
    assert plan.deals == 1


def test_a_difference_below_the_least_amount_is_replaced() -> None:
    plan = plan_of("add 1 bid 10 1", "change 1 bid 10 0.9995")
    assert shape(plan)[1:] == ["cancel left 10000", "limit bid 9995 @ 1000 left 9995"]


def test_users_are_given_what_they_will_need_at_most() -> None:
    plan = plan_of("add 1 bid 10 1", "delete 1 bid 10 1", "add 1 bid 20 3", "change 1 bid 20 2")
    needs = {asset: need for (user, asset), need in plan.needs.items() if need > 2}
    # 60 for the bid, and the taker one unit to sell; whole units and one for roundings on top.
    assert needs == {"USDT": 62, "BTC": 3}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("add 1 bid 10.001 1", "line 2, column price: 10.001 has more than the 2 decimals"),
        ("add 1 bid 10 0.00001", "line 2, column amount: 0.00001 has more than the 4 decimals"),
        ("add 1 bid 10 0.0001", "line 2, column amount: 0.0001 is below the least of BTCUSDT"),
        ("add 1 bid 1e7 1e7", "line 2, column amount: price times amount"),
    ],
)
def test_numbers_that_the_market_cannot_take_are_refused_with_their_place(
    line: str, said: str
) -> None:
    with pytest.raises(FileProblem) as caught:
        plan_of(line)
    assert str(caught.value).startswith(said)


def test_the_recorded_events_end_at_the_files_last_word_on_each_order() -> None:
    events = read_events(shared("data", "btcusd-orders.csv.gz"))
    market = Market("BTCUSDT", "BTC", "USDT", 8, 8, 4, Decimal("0.00000001"))
    last: dict[str, tuple[Side, int | None, int | None]] = {}
    for event in events:
        if event.kind is Kind.DELETE:
            del last[event.order_id]
        else:
            last[event.order_id] = (event.side, units(event.price, 8), units(event.amount, 8))
    plan = make_plan(events, market)
    resting = {
        order.key: (order.side, order.price, order.left)
        for side in Side
        for order in plan.book.orders(side)
    }
    assert resting == last
    assert (len(events), len(resting), plan.deals) == (50_024, 45, 414)


def test_whole_units_and_texts_are_the_same_number() -> None:
    assert units(Decimal("1.5E-7"), 8) == 15
    assert units(Decimal("1e3"), 2) == 100_000
    assert units(Decimal("0.125"), 2) is None
    assert plain(15, 8) == "0.00000015"
    assert plain(-150, 2) == "-1.50"
    assert plain(7, 0) == "7"
