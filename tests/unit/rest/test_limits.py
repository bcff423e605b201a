"""How often a user may place orders."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viabtc.rest.errors import ApiError, answer
from viabtc.rest.limits import OrderPace, Pace

SECOND = 1_000_000_000


def taken(pace: OrderPace, user: int, now_ns: int) -> bool:
    try:
        pace.take(user, now_ns)
    except ApiError as error:
        return error.code != "too_many_orders"
    return True


def test_a_burst_is_taken_and_then_the_pace_counts() -> None:
    pace = OrderPace(Pace(orders_per_s=10, orders_burst=3))
    assert [taken(pace, 1, SECOND) for _ in range(5)] == [True, True, True, False, False]
    assert taken(pace, 2, SECOND), "another user has a bucket of their own"
    assert not taken(pace, 1, SECOND + SECOND // 10 - 1)
    assert taken(pace, 1, SECOND + SECOND // 10)
    assert not taken(pace, 1, SECOND + SECOND // 10)
    assert [taken(pace, 1, 9 * SECOND) for _ in range(4)] == [True, True, True, False]


def test_a_refusal_says_how_long_to_wait() -> None:
    pace = OrderPace(Pace(orders_per_s=2, orders_burst=1))
    pace.take(1, SECOND)
    with pytest.raises(ApiError) as caught:
        pace.take(1, SECOND + 1)
    assert caught.value.details == {"orders_per_s": 2, "retry_after_ms": 500}
    response = answer(caught.value)
    assert (response.status_code, response.headers["Retry-After"]) == (429, "1")


def test_no_pace_holds_nobody_up() -> None:
    pace = OrderPace(Pace(orders_per_s=0, orders_burst=1))
    assert all(taken(pace, 1, SECOND) for _ in range(1_000))


def test_only_so_many_users_are_remembered_and_the_latest_of_them() -> None:
    pace = OrderPace(Pace(orders_per_s=1, orders_burst=1), users_max=2)
    for user in (1, 2, 3):
        pace.take(user, SECOND)
    assert not taken(pace, 3, SECOND)
    assert not taken(pace, 2, SECOND)
    assert taken(pace, 1, SECOND), "who asked longest ago is forgotten"


@given(
    gaps=st.lists(st.integers(0, 3 * SECOND), min_size=1, max_size=60),
    per_s=st.integers(1, 50),
    burst=st.integers(1, 20),
)
def test_no_window_holds_more_than_its_share(gaps: list[int], per_s: int, burst: int) -> None:
    pace, now, times = OrderPace(Pace(per_s, burst)), 0, []
    for gap in gaps:
        now += gap
        if taken(pace, 7, now):
            times.append(now)
    each = SECOND // per_s
    for first, begun in enumerate(times):
        for last in range(first, len(times)):
            assert last - first + 1 <= burst + (times[last] - begun) // each
