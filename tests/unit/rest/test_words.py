"""What is wrong with a value is said in words."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from viabtc.rest import words
from viabtc.rest.models import BalanceUpdate, NewAsset, NewToken, PlaceOrder
from viabtc.rest.routes import account, admin, changes, market, orders, udf, users

ORDER = {"market": "BTCUSDT", "side": "bid", "amount": "0.5", "price": "100"}
UPDATE = {"user": 1, "asset": "BTC", "reason": "gift", "reason_id": 1, "change": "1"}
TOKEN = {"user": 1, "scopes": ["read"], "label": "bot"}
ASSET = {"name": "DOGE", "decimals_kept": 8, "decimals": 8}

DECIMAL = (
    "a decimal number of 0 or more, without exponent, with at most 20 digits before and behind its"
    ' point, such as "0.25"'
)


def said(model: Any, body: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(model).validate_python(body)
    error = caught.value.errors()[0]
    return words.said({**error, "loc": ("body", *error["loc"])})


@pytest.mark.parametrize(
    ("model", "body", "words"),
    [
        (PlaceOrder, {**ORDER, "amount": "1e3"}, f'amount: is "1e3"; right would be {DECIMAL}'),
        (PlaceOrder, {**ORDER, "price": "-1"}, f'price: is "-1"; right would be {DECIMAL}'),
        (
            PlaceOrder,
            {**ORDER, "amount": 1},
            'amount: is 1; right would be a text in quotation marks, such as "0.25"',
        ),
        (PlaceOrder, {**ORDER, "side": "buy"}, 'side: is "buy"; right would be ask or bid'),
        (PlaceOrder, {**ORDER, "user": 2}, "user: is not known here; leave it out"),
        (PlaceOrder, {"amount": "1"}, "market: is missing"),
        (PlaceOrder, [], "body: is []; right would be an object"),
        (PlaceOrder, "x", 'body: is "x"; right would be an object'),
        (
            PlaceOrder,
            {**ORDER, "market": "x" * 50},
            f'market: is "{"x" * 39}...; right would be at most 30 characters',
        ),
        (BalanceUpdate, {**UPDATE, "user": 0}, "user: is 0; right would be 1 or more"),
        (BalanceUpdate, {**UPDATE, "user": "a"}, 'user: is "a"; right would be an integer'),
        (
            BalanceUpdate,
            {**UPDATE, "user": 2**32},
            "user: is 4294967296; right would be 4294967295 or less",
        ),
        (
            BalanceUpdate,
            {**UPDATE, "reason": ""},
            'reason: is ""; right would be at least 1 character',
        ),
        (BalanceUpdate, {**UPDATE, "detail": 1}, "detail: is 1; right would be an object"),
        (
            BalanceUpdate,
            {**UPDATE, "reason": "\U0001f600"},
            "reason: characters beyond U+FFFF cannot be kept",
        ),
        (NewToken, {**TOKEN, "scopes": []}, "scopes: is []; right would be at least 1 item"),
        (NewToken, {**TOKEN, "scopes": "x"}, 'scopes: is "x"; right would be a list'),
        (
            NewToken,
            {**TOKEN, "scopes": ["all"]},
            'scopes.0: is "all"; right would be read, trade or admin',
        ),
        (
            NewToken,
            {**TOKEN, "label": "a b"},
            'label: is "a b"; right would be a name of 1 to 30 letters, digits, `_`, `.`, `-`,',
        ),
        (NewAsset, {**ASSET, "decimals": 1.5}, "decimals: is 1.5; right would be an integer"),
        (NewAsset, {**ASSET, "x" * 50: 1}, f"{'x' * 40}...: is not known here; leave it out"),
        (
            NewAsset,
            {**ASSET, "name": "\ud800"},
            'name: is "\\ud800"; right would be a text without half a character',
        ),
    ],
)
def test_a_wrong_value_is_named_and_what_would_be_right(model: Any, body: Any, words: str) -> None:
    found = said(model, body)
    assert found.startswith(words)
    assert found.encode()


def patterns(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            yield schema["pattern"]
        for part in schema.values():
            yield from patterns(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from patterns(part)


def test_every_pattern_that_a_request_has_to_match_has_words() -> None:
    found = set()
    for part in (account, admin, changes, market, orders, udf, users):
        for route in part.router.routes:
            dependant = route.dependant
            fields = (*dependant.path_params, *dependant.query_params, *dependant.body_params)
            for field in fields:
                schema = TypeAdapter(field.field_info.annotation).json_schema()
                found |= set(patterns(schema))
                found |= {it.pattern for it in field.field_info.metadata if hasattr(it, "pattern")}
    assert len(found) >= 4
    assert found <= set(words.PATTERNS)
    assert all(right for right in words.PATTERNS.values())
