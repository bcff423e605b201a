"""Parameters of the history methods: what is lenient, what is refused, what is asked."""

from typing import Any

import pytest

from viabtc.readhistory.queries import read_query
from viabtc.readhistory.service import UNSHARDED


@pytest.mark.parametrize(
    ("command", "params"),
    [
        (103, [1, "BTC", "", 0, 0, 0]),
        (103, [1, "BTC", "", 0, 0, 0, 1, 1]),
        (103, [0, "BTC", "", 0, 0, 0, 1]),
        (103, ["1", "BTC", "", 0, 0, 0, 1]),
        (103, [True, "BTC", "", 0, 0, 0, 1]),
        (103, [2**32, "BTC", "", 0, 0, 0, 1]),
        (103, [-1, "BTC", "", 0, 0, 0, 1]),
        (103, [1, None, "", 0, 0, 0, 1]),
        (103, [1, "BTC", 5, 0, 0, 0, 1]),
        (103, [1, "BTC", "", 0, 0, 0, 0]),
        (103, [1, "BTC", "", 0, 0, 0, 102]),
        (103, [1, "BTC", "", 0, 0, 0, "10"]),
        (103, [1, "BTC", "", 0, 0, -1, 10]),
        (103, [1, "BTC", "", 20, 10, 0, 10]),
        (103, [1, "BTC", "", -1, 10, 0, 10]),
        (208, [1, "BTCUSDT", 0, 0, 0]),
        (208, [1, "BTCUSDT", 0, 0, 0, 10, 3]),
        (208, [1, 5, 0, 0, 0, 10]),
        (209, [0, 0, 10]),
        (209, [-5, 0, 10]),
        (209, [1, 0, 10, 0]),
        (210, []),
        (210, [0]),
        (210, ["1"]),
        (306, [1, "BTCUSDT", 0]),
        (306, [1, None, 0, 10]),
        (101, [1]),
    ],
)
def test_parameters_that_cannot_be_used_are_refused(command: int, params: list[Any]) -> None:
    assert read_query(command, params) is None


def sql(command: int, params: list[Any]) -> tuple[str, list[Any]]:
    query = read_query(command, params)
    assert query is not None
    text, values = query.sql(UNSHARDED)
    return text.partition(" WHERE ")[2], list(values)


def test_filters_that_are_empty_are_left_out() -> None:
    order = " ORDER BY id DESC LIMIT ? OFFSET ?"
    assert sql(103, [7, "", "", 0, 0, 5, 10]) == ("user_id = ?" + order, [7, 10, 5])
    filtered = "user_id = ? AND asset = ? AND business = ? AND time >= ? AND time < ?"
    assert sql(103, [7, "BTC", "trade", 1, 9, 0, 101]) == (
        filtered + order,
        [7, "BTC", "trade", 1.0, 9.0, 101, 0],
    )
    # A market always counts, even an empty one.
    assert sql(208, [7, "", 0, 0, 0, 1])[0] == "user_id = ? AND market = ?" + order
    assert sql(208, [7, "m", 0, 0, 0, 1, 2, "more"])[1] == [7, "m", 2, 1, 0]


def test_what_is_no_integer_counts_as_zero() -> None:
    assert sql(103, [7, "", "", "5", None, 1.5, 10]) == sql(103, [7, "", "", 0, 0, 0, 10])
    assert sql(208, [7, "m", 0, 0, 0, 10, "1"]) == sql(208, [7, "m", 0, 0, 0, 10, 0])


def test_bounds_compare_as_unsigned() -> None:
    assert sql(103, [7, "", "", -1, 0, 0, 10])[1] == [7, float(2**64 - 1), 10, 0]
    assert sql(103, [7, "", "", 5, -1, 0, 10])[1] == [7, 5.0, float(2**64 - 1), 10, 0]
