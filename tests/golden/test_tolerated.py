"""Each tolerated difference from the original (design, section 7) has its own test, by its number.

Those that need parts which do not exist yet are listed in tests/README.md, with where they will be.
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from golden.transcript import SCENARIOS, Call, engine_calls
from harness import http, rpc
from harness.configs import small_config
from harness.processes import Server, start_exchange, start_matchengine
from viabtc import _core
from viabtc.contract.methods import BY_NAME

INVALID = (1, "invalid argument")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = start_exchange(tmp_path_factory.mktemp("tolerated"), small_config())
    yield running
    assert running.stop() == 0, running.said()


@pytest.fixture
def door(server: Server) -> Iterator[http.Connection]:
    with http.Connection(server.place("http")) as connection:
        yield connection


def texts(value: Any) -> Iterator[str]:
    """Every string in a document."""
    if isinstance(value, dict):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, str):
        yield value


def test_1_numbers_are_written_in_plain_notation(door: http.Connection) -> None:
    recorded = [text for call in engine_calls("markets") for text in texts(call.body)]
    assert "0e-8" in recorded, "the original writes exponents"
    door.result("balance.update", 11, "BTC", "plain", 1, "1", {})
    door.result("balance.update", 12, "USDT", "plain", 1, "1000", {})
    order = door.result("order.put_limit", 11, "BTCUSDT", 1, "1", "0.07", "0.0001", "0", "")
    assert order["maker_fee"] == "0"
    filled = door.result("order.put_limit", 12, "BTCUSDT", 2, "1", "0.07", "0.0001", "0", "")
    assert (filled["left"], filled["deal_fee"]) == ("0", "0.0001")
    small = door.result("balance.update", 13, "BTC", "plain", 1, "1e-12", {})
    assert small == {"status": "success"}
    assert door.result("balance.query", 13, "BTC")["BTC"]["available"] == "0.000000000001"


def test_2_what_no_table_holds_is_an_invalid_argument(door: http.Connection) -> None:
    for change in ("NaN", "Infinity", "nan7", "1e22"):
        assert door.error("balance.update", 1, "BTC", "bounds", 1, change, {}) == INVALID
    for amount, price in (("1e22", "1"), ("1", "1e22"), ("10000000", "10000000")):
        params = (1, "BTCUSDT", 1, amount, price, "0", "0", "")
        assert door.error("order.put_limit", *params) == INVALID
    # One unit less than 10^14 is an amount like any other.
    params = (1, "BTCUSDT", 1, "10000000", "9999999.99", "0", "0", "")
    assert door.error("order.put_limit", *params) == (10, "balance not enough")
    assert door.error("balance.update", 1, "USDT", "bounds", 1, "1e14", {}) == INVALID


def refused_by_us() -> list[Call]:
    return [
        call for scenario in SCENARIOS for call in engine_calls(scenario) if call.is_refused_by_us
    ]


def test_3_integers_outside_their_field_are_an_invalid_argument(door: http.Connection) -> None:
    calls = refused_by_us()
    assert len(calls) == 2
    for call in calls:
        assert call.body["error"] is None, "the original wraps around"
        assert door.error(call.method, *call.params) == INVALID, call.place
    assert door.error("order.pending", 1, "BTCUSDT", -1, 10) == INVALID


def test_4_texts_longer_than_their_columns_are_an_invalid_argument(door: http.Connection) -> None:
    for reason in ("r" * 31, "ü" * 31, "\U0001d11e"):
        assert door.error("balance.update", 1, "BTC", reason, 1, "1", {}) == INVALID
    assert door.result("balance.update", 1, "BTC", "ü" * 30, 1, "1", {})
    for source in ("s" * 31, "ü" * 16, "\U0001d11e"):
        params = (1, "BTCUSDT", 1, "1", "1", "0", "0", source)
        assert door.error("order.put_limit", *params) == INVALID
    # A detail may hold any character.
    assert door.result("balance.update", 1, "BTC", "detail", 1, "1", {"note": "\U0001d11e"})


def test_6_an_update_counts_once_across_restarts_as_long_as_is_configured(tmp_path: Path) -> None:
    params: list[Any] = [1, "BTC", "once", 1, "1", {}]
    for days in (30, 1):
        server = start_matchengine(tmp_path, small_config(), {"update_window_days": days})
        with rpc.Client(server.place("rpc")) as client:
            document = client.call(BY_NAME["balance.update"].command, params)
        code = document["error"] and document["error"]["code"]
        assert code == (None if days == 30 else 10), document
        assert server.stop() == 0, server.said()


def test_7_silence_and_emptiness_become_answers(server: Server, door: http.Connection) -> None:
    with rpc.Client(server.place("rpc")) as client:
        assert client.error(777) == (4, "method not found")
    response = door.post(b'{"method": "market.list", "params": [], "id": "x"}')
    assert response.status == 400
    assert response.document == {
        "error": {"code": 1, "message": "invalid argument"},
        "result": None,
        "id": None,
    }
    # A known browser client depends on the absence of the header.
    assert "content-type" not in response.headers


def test_8_depth_is_never_older_than_the_book(door: http.Connection) -> None:
    door.result("balance.update", 18, "BTC", "depth", 1, "100", {})
    total = Decimal(0)
    for _ in range(10):
        door.result("order.put_limit", 18, "BTCUSDT", 1, "1", "9999", "0", "0", "")
        total += 1
        # The same bytes each time: the original serves them from its cache for 0.45 s.
        body = b'{"method": "order.depth", "params": ["BTCUSDT", 101, "0"], "id": 1}'
        asks = door.post(body).document["result"]["asks"]
        assert [Decimal(amount) for price, amount in asks if price == "9999"] == [total]


def test_10_what_is_logged_of_an_update_is_what_was_applied(
    tmp_path: Path, golden_config: dict[str, Any]
) -> None:
    server = start_matchengine(tmp_path, golden_config)
    command = BY_NAME["balance.update"].command
    with rpc.Client(server.place("rpc")) as client:
        client.result(command, 1, "BTC", "cut", 1, "0.123456789123", {})
        before = client.result(105, "BTC")
    server.kill()
    assert before[0]["total_balance"] == "0.12345678"
    rows: list[dict[str, Any]] = []
    _core.inspect_journal(str(tmp_path / "data"), rows.append)
    logged = [json.loads(row["params"]) for row in rows if row["kind"] == "command"]
    assert [params[:4] for params in logged] == [[1, "BTC", "cut", 1]]
    again = start_matchengine(tmp_path, golden_config)
    with rpc.Client(again.place("rpc")) as client:
        assert client.result(105, "BTC") == before
    assert again.stop() == 0, again.said()
