"""The public API against a running exchange: identities, refusals with numbers, cursors."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.configs import three_markets
from harness.processes import Server, start_exchange
from viabtc.service.tokens import open_tokens

As = Callable[[str], httpx.Client]


def clients(server: Server, data: Path) -> Iterator[As]:
    """Gives clients that send the token of `admin`, `user-1`, `user-2`, or none for ``""``."""
    base = server.control.removesuffix("/control") + "/api/v1"
    tokens = open_tokens(data / "tokens").by_name
    opened = []

    def client(name: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {tokens[name]}"} if name else {}
        opened.append(httpx.Client(base_url=base, headers=headers, timeout=10))
        return opened[-1]

    yield client
    for one in opened:
        one.close()


def demonstration(directory: Path) -> Iterator[As]:
    """Clients of an exchange whose demo users have funds."""
    server = start_exchange(directory)
    yield from clients(server, directory / "data")
    assert server.stop() == 0, server.said()


@pytest.fixture
def as_identity(tmp_path: Path) -> Iterator[As]:
    """Clients of an exchange in its first state."""
    yield from demonstration(tmp_path)


@pytest.fixture(scope="module")
def anybody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[As]:
    """Clients of an exchange that other tests use too."""
    yield from demonstration(tmp_path_factory.mktemp("rest"))


def done(response: httpx.Response) -> Any:
    assert response.is_success, response.text
    return response.json()


def refusal(response: httpx.Response) -> tuple[int, str, dict[str, Any]]:
    error = response.json()["error"]
    return response.status_code, error["code"], error["details"]


def until(look: Callable[[], object], deadline_s: float = 5.0) -> None:
    deadline = time.monotonic() + deadline_s
    while not look():
        assert time.monotonic() < deadline, "did not come true"


def bid(price: str, amount: str = "0.01", **other: str) -> dict[str, str]:
    return {"market": "BTCUSDT", "side": "bid", "price": price, "amount": amount, **other}


def test_orders_meet_and_everybody_sees_what_is_theirs(as_identity: As) -> None:
    one, two = as_identity("user-1"), as_identity("user-2")
    placed = done(one.post("/orders", json=bid("100", "0.5")))
    assert (placed["status"], placed["remaining"]) == ("open", "0.5")
    sold = done(
        two.post(
            "/orders", json={"market": "BTCUSDT", "side": "ask", "type": "market", "amount": "0.2"}
        )
    )
    assert (sold["status"], sold["filled_base"], sold["filled_quote"]) == ("finished", "0.2", "20")
    depth = done(as_identity("").get("/markets/BTCUSDT/depth"))
    assert depth == {"asks": [], "bids": [["100", "0.3"]]}
    (order,) = done(one.get("/orders/open", params={"market": "BTCUSDT"}))["items"]
    assert (order["id"], order["filled_base"]) == (placed["id"], "0.2")
    path = f"/markets/BTCUSDT/orders/{placed['id']}"
    assert refusal(two.get(path))[:2] == (404, "order_not_found")
    assert refusal(two.delete(path))[:2] == (404, "order_not_found")
    assert done(one.get(path))["remaining"] == "0.3"
    assert done(one.delete(path))["status"] == "finished"
    held = {row["asset"]: row for row in done(one.get("/balances"))}
    assert (held["BTC"]["available"], held["USDT"]["available"]) == ("10.1998", "999980")
    assert held["USDT"]["frozen"] == "0"


def test_what_was_traded_is_told_to_everybody_and_to_its_owners(as_identity: As) -> None:
    one, two = as_identity("user-1"), as_identity("user-2")
    bought = done(one.post("/orders", json=bid("100", "0.5")))
    sale = {"market": "BTCUSDT", "side": "ask", "price": "100", "amount": "0.5"}
    sold = done(two.post("/orders", json=sale))
    everybody = as_identity("")
    market = {"market": "BTCUSDT"}
    until(lambda: done(two.get("/orders/finished", params=market))["items"])
    until(lambda: done(everybody.get("/markets/BTCUSDT/trades")))
    (trade,) = done(everybody.get("/markets/BTCUSDT/trades"))
    assert (trade["price"], trade["amount"], trade["taker"]) == ("100", "0.5", "ask")
    # Rolling figures hold a deal of the first second of a minute from the next second on.
    until(lambda: done(everybody.get("/markets/BTCUSDT/ticker"))["volume"] != "0")
    ticker = done(everybody.get("/markets/BTCUSDT/ticker"))
    assert (ticker["last"], ticker["volume"], ticker["turnover"]) == ("100", "0.5", "50")
    second = trade["time"] // 1_000_000
    span = {"start": second, "end": second, "interval": 60}
    (candle,) = done(everybody.get("/markets/BTCUSDT/candles", params=span))
    assert (candle["open"], candle["close"], candle["volume"]) == ("100", "100", "0.5")
    for who, order, role, fee in ((one, bought, "maker", "0.0005"), (two, sold, "taker", "0.1")):
        (finished,) = done(who.get("/orders/finished", params=market))["items"]
        assert (finished["id"], finished["remaining"]) == (order["id"], "0")
        path = f"/markets/BTCUSDT/orders/{order['id']}"
        assert done(who.get(path)) == finished
        (own,) = done(who.get("/trades", params=market))["items"]
        assert (own["id"], own["role"], own["fee"]) == (trade["id"], role, fee)
        changes = done(who.get("/balances/history", params={"reason": "trade"}))["items"]
        assert len(changes) == 3
        assert changes[0]["detail"]["i"] == order["id"]


def test_a_refusal_carries_the_numbers_behind_it(as_identity: As) -> None:
    one = as_identity("user-1")
    too_much = one.post("/orders", json=bid("1000000", "2"))
    assert refusal(too_much) == (
        422,
        "balance_not_enough",
        {"asset": "USDT", "available": "1000000"},
    )
    too_fine = one.post("/orders", json=bid("0.000000001"))
    assert refusal(too_fine) == (400, "invalid_argument", {"decimals": 8})
    small = {"market": "ETHBTC", "side": "bid", "price": "0.01", "amount": "0.0000"}
    assert refusal(one.post("/orders", json=small))[:2] == (400, "invalid_argument")
    nobody = {"market": "BTCUSDT", "side": "bid", "type": "market", "amount": "1"}
    assert refusal(one.post("/orders", json=nobody))[:2] == (422, "no_enough_trader")


def test_who_places_too_fast_is_told_when_to_go_on_and_may_cancel(tmp_path: Path) -> None:
    limits = {"orders_per_s": 1, "orders_burst": 3}
    server = start_exchange(tmp_path, {**three_markets(), "viabtc": {"limits": limits}})
    given = clients(server, tmp_path / "data")
    as_identity = next(given)
    for user in (1, 2):
        funds = {"user": user, "asset": "USDT", "reason": "gift", "reason_id": 1, "change": "100"}
        done(as_identity("admin").post("/admin/balance-updates", json=funds))
    one = as_identity("user-1")
    answers = [one.post("/orders", json=bid("1", "0.1"))]
    while answers[-1].is_success and len(answers) < 500:
        answers.append(one.post("/orders", json=bid("1", "0.1")))
    *placed, refused = answers
    assert len(placed) >= 3
    status, code, details = refusal(refused)
    assert (status, code, details["orders_per_s"]) == (429, "too_many_orders", 1)
    assert 0 < details["retry_after_ms"] <= 1_000
    assert refused.headers["Retry-After"] == "1"
    for order in map(done, placed):
        done(one.delete(f"/markets/BTCUSDT/orders/{order['id']}"))
    done(as_identity("user-2").post("/orders", json=bid("1", "0.1")))
    assert next(given, None) is None
    assert server.stop() == 0, server.said()


def test_metrics_tell_how_long_requests_take(tmp_path: Path) -> None:
    server = start_exchange(tmp_path)
    given = clients(server, tmp_path / "data")
    one = next(given)("user-1")
    done(one.post("/orders", json=bid("100")))
    done(one.get("/assets"))
    assert one.get("/nothing").status_code == 404
    (place,) = server.status()["http"]
    depth = {"method": "order.depth", "params": ["BTCUSDT", 10, "0"], "id": 1}
    done(httpx.post(f"http://{place.partition('@')[2]}/", json=depth))
    for method, route, status in (
        ("POST", "/orders", "2xx"),
        ("GET", "/assets", "2xx"),
        ("other", "other", "4xx"),
    ):
        labels = f'method="{method}",route="{route}",status="{status}"'
        assert server.metric(f"viabtc_rest_request_seconds_count{{{labels}}}") == 1, labels
    assert server.metric('viabtc_door_request_seconds_bucket{le="+Inf"}') == 1
    assert server.metric("viabtc_door_request_seconds_sum") > 0
    # Of the port that the API asks, beside others that ask.
    assert server.metric('viabtc_rpc_request_seconds_bucket{le="+Inf"}') >= 1
    assert next(given, None) is None
    assert server.stop() == 0, server.said()


def test_a_deposit_takes_effect_once(as_identity: As) -> None:
    admin = as_identity("admin")
    deposit = {"user": 9, "asset": "USDT", "reason": "deposit", "reason_id": 7, "change": "5.5"}
    done(admin.post("/admin/balance-updates", json=deposit))
    assert refusal(admin.post("/admin/balance-updates", json=deposit))[:2] == (409, "repeat_update")
    held = {row["asset"]: row["available"] for row in done(admin.get("/admin/users/9/balances"))}
    assert held["USDT"] == "5.5"
    withdrawal = {**deposit, "reason_id": 8, "change": "-6"}
    assert refusal(admin.post("/admin/balance-updates", json=withdrawal)) == (
        422,
        "balance_not_enough",
        {"asset": "USDT", "available": "5.5"},
    )


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/markets/NONE/depth", 404, "not_found"),
        ("PUT", "/markets", 405, "method_not_allowed"),
    ],
)
def test_what_is_not_there_is_said_in_the_same_form(
    anybody: As, method: str, path: str, status: int, code: str
) -> None:
    response = anybody("admin").request(method, path)
    assert refusal(response)[:2] == (status, code)


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "detail", [{"a": "\0"}, {"\0": 1}, {"a": 2**64}, {"a": nested(200)}, {"a": "\ud800"}]
)
def test_what_no_service_reads_is_refused_before_it_is_sent(
    anybody: As, detail: dict[str, Any]
) -> None:
    update = {"user": 9, "asset": "BTC", "reason": "odd", "reason_id": 1, "change": "1"}
    body = json.dumps({**update, "detail": detail}).encode()
    response = anybody("admin").post(
        "/admin/balance-updates", content=body, headers={"Content-Type": "application/json"}
    )
    assert refusal(response)[:2] == (400, "invalid_argument")


def test_a_null_character_in_an_address_is_refused(anybody: As) -> None:
    asked = anybody("user-1").get("/balances/history", params={"reason": "\0"})
    assert refusal(asked)[:2] == (400, "invalid_argument")


def test_a_wrong_token_is_nobody(anybody: As) -> None:
    client = anybody("")
    response = client.get("/balances", headers={"Authorization": "Bearer x"})
    assert refusal(response)[:2] == (401, "unauthenticated")
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "body",
    [
        {"amount": "1"},
        {**bid("1"), "user": 2},
        {**bid("1"), "side": "buy"},
        {**bid("1"), "amount": 1},
        {**bid("1"), "amount": "NaN"},
        {**bid("1"), "amount": "1e3"},
        {**bid("1"), "amount": "-1"},
        {**bid("1"), "amount": "0"},
        {**bid("1"), "amount": "٣"},
        {**bid("1"), "type": "market"},
        {"market": "BTCUSDT", "side": "bid", "amount": "1"},
        [],
        "x",
    ],
)
def test_a_body_that_is_no_order_is_refused_in_words(anybody: As, body: object) -> None:
    response = anybody("user-1").post("/orders", json=body)
    assert refusal(response)[:2] == (400, "invalid_argument")
    assert "should" not in response.json()["error"]["reason"], "in words of ours"


def test_a_body_larger_than_any_request_is_refused_announced_or_not(anybody: As) -> None:
    one = anybody("user-1")
    large = b"[" * 65_537
    headers = {"Content-Type": "application/json"}
    pieces = (large[start : start + 8_192] for start in range(0, len(large), 8_192))
    for content in (large, pieces):
        refused = one.post("/orders", content=content, headers=headers)
        assert refusal(refused)[:2] == (413, "too_large")
    deep = one.post("/orders", content=b"[" * 60_000, headers=headers)
    assert refusal(deep)[:2] == (400, "invalid_argument")
    assert done(one.get("/time"))


def test_pages_of_open_orders_join_while_orders_come_and_go(as_identity: As) -> None:
    one = as_identity("user-1")
    ids = [done(one.post("/orders", json=bid("1")))["id"] for _ in range(25)]
    seen: list[int] = []
    cursor: dict[str, str] = {}
    while True:
        page = done(one.get("/orders/open", params={"market": "BTCUSDT", "limit": 10, **cursor}))
        seen += [order["id"] for order in page["items"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
        # New ones come in front, seen ones go: neither moves the rest of the list.
        done(one.post("/orders", json=bid("1")))
        done(one.delete(f"/markets/BTCUSDT/orders/{page['items'][0]['id']}"))
    assert seen == ids[::-1]
    bad = one.get("/orders/open", params={"market": "BTCUSDT", "cursor": "xx"})
    assert refusal(bad)[:2] == (400, "invalid_argument")


def test_charts_get_candles_as_numbers_with_all_their_digits(as_identity: As) -> None:
    one, two, chart = as_identity("user-1"), as_identity("user-2"), as_identity("")
    done(one.post("/orders", json=bid("100.00000001", "0.5")))
    sale = {"market": "BTCUSDT", "side": "ask", "price": "100", "amount": "0.5"}
    done(two.post("/orders", json=sale))
    now = int(done(chart.get("/udf/time")))
    asked: dict[str, str | int] = {"symbol": "BTCUSDT", "resolution": "1"}
    asked |= {"from": now - 600, "to": now + 60}
    until(lambda: done(chart.get("/udf/history", params=asked))["s"] == "ok")
    text = chart.get("/udf/history", params=asked).text
    assert '"o": [100.00000001]' in text
    assert '"v": [0.5]' in text
    assert done(chart.get("/udf/symbols", params={"symbol": "BTCUSDT"}))["pricescale"] == 10**8
    assert "1D" in done(chart.get("/udf/config"))["supported_resolutions"]
    assert [row["symbol"] for row in done(chart.get("/udf/search", params={"query": "btcu"}))] == [
        "BTCUSDT"
    ]
    nothing = {**asked, "from": 1000, "to": 2000}
    assert done(chart.get("/udf/history", params=nothing)) == {"s": "no_data"}
    odd = chart.get("/udf/history", params={**asked, "resolution": "7"})
    assert refusal(odd)[:2] == (400, "invalid_argument")
