"""Rows as the JSON text of answers."""

import json
from decimal import Decimal
from typing import Any

from viabtc.readhistory.queries import Query
from viabtc.readhistory.records import answer

QUERY = Query("", 1, "", (), offset=2, limit=3)


def balance(**changes: Any) -> str:
    row = {
        "time": 1795426649.529207,
        "asset": "BCH",
        "business": "trade",
        "change": "-0.10025",
        "balance": "100.14975",
        "detail": "{}",
        **changes,
    }
    return answer(103, QUERY, [tuple(row.values())]).decode()


def test_a_balance_row_reads_as_recorded() -> None:
    detail = '{"a": "1", "f": "0.001", "i": 6, "m": "BTCBCH", "p": "100.25"}'
    assert balance(time=1795426649.52969, detail=detail) == (
        '{"offset": 2, "limit": 3, "records": [{"time": 1795426649.52969, "asset": "BCH",'
        ' "business": "trade", "change": "-0.10025", "balance": "100.14975", "detail": '
        f"{detail}}}]}}"
    )


def test_decimals_lose_trailing_zeros_and_never_have_exponents() -> None:
    text = balance(change=Decimal("-0.10000000"), balance="100.0000000000000000")
    assert '"change": "-0.1", "balance": "100"' in text
    assert '"balance": "0"' in balance(balance="0.0000000000000000")
    assert '"balance": "1000"' in balance(balance="1000")


def test_whole_seconds_stay_reals() -> None:
    assert '"time": 1795426649.0,' in balance(time=1795426649.0)


def test_escapes_are_the_originals() -> None:
    text = balance(business='a"\\\x0b\x1f\n', detail='{"k": "\\uD83D\\uDE00\\u000b\\\\uD83D"}')
    assert '"business": "a\\"\\\\\\u000B\\u001F\\n"' in text
    assert '"detail": {"k": "\U0001f600\\u000B\\\\uD83D"}' in text
    assert json.loads(text)["records"][0]["business"] == 'a"\\\x0b\x1f\n'


def test_a_detail_that_is_no_object_is_empty() -> None:
    for detail in ("", "[]", "1", '{"a": ', "null", "[" * 100_000):
        assert '"detail": {}}' in balance(detail=detail)


def test_a_detail_that_somebody_else_wrote_is_laid_out_as_the_originals() -> None:
    for stored, shown in (
        ('{"a":1,"b":[1,2]}', '{"a": 1, "b": [1, 2]}'),
        (' {\n  "a" : 0.1 }\n', '{"a": 0.10000000000000001}'),
        ('{"a": 1e2, "a": "\\/\\u00e9"}', '{"a": "/\u00e9"}'),
    ):
        assert f'"detail": {shown}}}' in balance(detail=stored)
    # What the original does not read either.
    for detail in ('{"a": NaN}', '{"a": 1} x', '{"a": 18446744073709551616}', '{"a": "\\ud800"}'):
        assert '"detail": {}}' in balance(detail=detail)


def test_an_order_that_is_not_there_is_null() -> None:
    assert answer(210, QUERY, []) == b"null"
    assert answer(208, QUERY, []) == b'{"offset": 2, "limit": 3, "records": []}'
