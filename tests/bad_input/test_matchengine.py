"""The known defects of the original's commands, and that ours does not have them.

The numbers are those of the list at the end of `spec/matchengine.md`; tests/README.md has the whole
table.
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from harness.configs import small_config
from harness.processes import Server, start_matchengine
from harness.rpc import Client, Frame

QUERY, UPDATE, SUMMARY = 101, 102, 105
PUT_LIMIT, PUT_MARKET, PENDING, CANCEL, BOOK, DEPTH, DETAIL = 201, 202, 203, 204, 205, 206, 207
MARKET_SUMMARY = 308

INVALID = (1, "invalid argument")

NOT_FINITE = ("NaN", "nan", "-NaN", "sNaN", "NaN123", "Infinity", "-Infinity", "inf", "INF")
NO_NUMBERS = ("", " 1", "1 ", "1e", "e1", "0x10", "1_000", "+", "-", ".", "\u0661", "1,5")
HUGE = ("1e999999", "1e22", "1" + "0" * 22, "9" * 6000)

BTCUSDT = "BTCUSDT"
COINS = "COINUSDT"
"""A market whose stock has no decimals."""


def config() -> dict[str, Any]:
    made = small_config()
    made["assets"].append({"name": "COIN", "prec_save": 4, "prec_show": 2})
    made["assets"][0]["prec_show"] = 8
    made["markets"].append(
        {
            "name": COINS,
            "stock": {"name": "COIN", "prec": 0},
            "money": {"name": "USDT", "prec": 2},
            "fee_prec": 4,
            "min_amount": "1",
        }
    )
    return made


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Server]:
    server = start_matchengine(tmp_path, config())
    yield server
    if server.is_running():
        code, report = server.get("/audit", "POST")
        assert code == 200, report
        assert server.stop() == 0, server.said()


@pytest.fixture
def client(engine: Server) -> Iterator[Client]:
    """A connection; users 1 and 2 have funds."""
    with Client(engine.place("rpc")) as connection:
        for user in (1, 2):
            for asset in ("BTC", "USDT", "COIN"):
                connection.result(UPDATE, user, asset, "fund", user, "1000", {})
        yield connection


@pytest.fixture
def restarted(engine: Server, tmp_path: Path) -> Iterator[Any]:
    """Restarts the engine without a clean stop; gives a connection to it."""
    servers: list[Server] = []

    def restart() -> Client:
        (servers[-1] if servers else engine).kill()
        servers.append(start_matchengine(tmp_path, config()))
        return Client(servers[-1].place("rpc"))

    yield restart
    for server in servers:
        if server.is_running():
            assert server.get("/audit", "POST")[0] == 200
            assert server.stop() == 0, server.said()


def limit(client: Client, user: int, side: int, amount: str, price: str, **over: Any) -> Any:
    return client.result(PUT_LIMIT, *limit_params(user, side, amount, price, **over))


def limit_params(user: int, side: int, amount: str, price: str, **over: Any) -> list[Any]:
    named = {"market": BTCUSDT, "taker_fee": "0.002", "maker_fee": "0.001", "source": "t", **over}
    return [
        *(user, named["market"], side, amount, price),
        *(named["taker_fee"], named["maker_fee"], named["source"]),
    ]


def state(client: Client) -> Any:
    """Everything that a refused request must leave as it was."""
    return [
        client.result(SUMMARY),
        client.result(MARKET_SUMMARY),
        *(client.result(QUERY, user) for user in (1, 2)),
        *(client.result(BOOK, BTCUSDT, side, 0, 101) for side in (1, 2)),
    ]


def test_1_and_2_what_is_no_finite_number_in_bounds_is_refused_everywhere(client: Client) -> None:
    limit(client, 1, 1, "1", "100")
    limit(client, 2, 2, "1", "90")
    before = state(client)
    for number in (*NOT_FINITE, *HUGE, *NO_NUMBERS):
        requests: list[tuple[int, list[Any]]] = [
            (UPDATE, [1, "BTC", "bad", 9, number, {}]),
            (DEPTH, [BTCUSDT, 10, number]),
            *((PUT_LIMIT, limit_params(1, side, number, "95")) for side in (1, 2)),
            *((PUT_LIMIT, limit_params(1, side, "1", number)) for side in (1, 2)),
            (PUT_LIMIT, limit_params(1, 1, "1", "95", taker_fee=number)),
            (PUT_LIMIT, limit_params(1, 1, "1", "95", maker_fee=number)),
            *((PUT_MARKET, [1, BTCUSDT, side, number, "0", "t"]) for side in (1, 2)),
            (PUT_MARKET, [1, BTCUSDT, 1, "1", number, "t"]),
        ]
        for command, params in requests:
            assert client.error(command, *params) == INVALID, (command, params)
    assert state(client) == before


def test_1_amounts_and_prices_are_above_zero_and_fees_below_one(client: Client) -> None:
    before = state(client)
    for amount, price in (("0", "1"), ("-1", "1"), ("1", "0"), ("1", "-1"), ("0.00001", "1")):
        assert client.error(PUT_LIMIT, *limit_params(1, 1, amount, price)) == INVALID
    for fee in ("1", "-0.1", "1.5"):
        params = limit_params(1, 1, "1", "1", taker_fee=fee)
        assert client.error(PUT_LIMIT, *params) == INVALID
    assert client.error(DEPTH, BTCUSDT, 1, "-1") == INVALID
    assert state(client) == before


def test_2_what_the_tables_could_not_hold_is_refused(client: Client) -> None:
    # Price times amount of 10^14, a supply of 10^14.
    assert client.error(PUT_LIMIT, *limit_params(1, 1, "10000000", "10000000")) == INVALID
    assert client.error(UPDATE, 1, "BTC", "much", 1, "1e14", {}) == INVALID
    assert client.result(UPDATE, 1, "BTC", "much", 1, "99999999997999", {})
    assert client.error(UPDATE, 2, "BTC", "much", 1, "1", {}) == INVALID


def test_4_and_5_an_update_counts_once_and_the_same_after_a_kill(
    client: Client, restarted: Any
) -> None:
    params = [7, "BTC", "once", 5, "0.123456789123", {}]
    assert client.result(UPDATE, *params)
    shown = client.result(SUMMARY, "BTC")[0]["total_balance"]
    # Cut to what the asset shows, 8 decimals of 12.
    assert shown == "2000.12345678"
    for _ in range(2):
        with restarted() as again:
            assert again.result(SUMMARY, "BTC")[0]["total_balance"] == shown
            assert again.error(UPDATE, *params) == (10, "repeat update")


def test_6_no_decimals_mean_no_decimals(client: Client) -> None:
    order = limit(client, 1, 1, "1.9", "100", market=COINS)
    assert order["amount"] == "1"
    assert client.error(PUT_LIMIT, *limit_params(1, 1, "0.9", "1", market=COINS)) == INVALID


def test_7_the_money_of_a_market_bid_is_cut_to_the_stocks_decimals_as_before(
    client: Client,
) -> None:
    limit(client, 1, 1, "5", "1.5", market=COINS)
    order = client.result(PUT_MARKET, 2, COINS, 2, "3.75", "0", "t")
    assert (order["amount"], order["deal_stock"], order["deal_money"]) == ("3", "2", "3")


def test_8_fees_are_collected_so_that_nothing_is_lost(engine: Server, client: Client) -> None:
    limit(client, 1, 1, "0.333", "77.77")
    order = limit(client, 2, 2, "0.333", "80")
    assert order["deal_fee"] == "0.000666"
    before, after = Decimal(2000), client.result(SUMMARY, "BTC")[0]["total_balance"]
    assert before - Decimal(after) == Decimal("0.000666")
    # The audit adds fees to balances and compares with what was ever paid in.
    assert engine.get("/audit", "POST")[1]["ok"]


def test_9_an_order_that_ended_is_gone_from_every_list(client: Client) -> None:
    # Many fees and roundings on one resting order, until nothing is left of it.
    maker = limit(client, 1, 2, "0.333", "33.33")
    for _ in range(3):
        limit(client, 2, 1, "0.111", "33.33")
    assert client.result(PENDING, 1, BTCUSDT, 0, 101)["total"] == 0
    assert client.result(DETAIL, BTCUSDT, maker["id"]) is None
    for _ in range(2):
        assert client.error(CANCEL, 1, BTCUSDT, maker["id"]) == (10, "order not found")
    freezes = client.result(QUERY, 1, "USDT")["USDT"]["freeze"]
    assert freezes == "0"


def test_10_user_ids_outside_their_field_are_refused(client: Client) -> None:
    before = state(client)
    user: Any
    for user in (-1, 2**32, 2**32 + 1, 2**63 - 1, 1.0, "1", None, True):
        for command, params in (
            (QUERY, [user]),
            (UPDATE, [user, "BTC", "user", 1, "1", {}]),
            (PUT_LIMIT, limit_params(user, 1, "1", "1")),
            (PUT_MARKET, [user, BTCUSDT, 1, "1", "0", "t"]),
            (PENDING, [user, BTCUSDT, 0, 1]),
            (CANCEL, [user, BTCUSDT, 1]),
        ):
            assert client.error(command, *params) == INVALID, (command, user)
    assert state(client) == before


def test_10_the_largest_user_id_and_zero_are_users(client: Client) -> None:
    for user in (0, 2**32 - 1):
        assert client.result(UPDATE, user, "BTC", "user", 1, "1", {})
        order = limit(client, user, 1, "1", "500")
        assert client.result(CANCEL, user, BTCUSDT, order["id"])["user"] == user


def places_of(number: Any) -> list[tuple[int, list[Any]]]:
    """A number in every place that takes an id, an offset or a limit."""
    return [
        (UPDATE, [1, "BTC", "id", number, "1", {}]),
        (PENDING, [1, BTCUSDT, number, 1]),
        (PENDING, [1, BTCUSDT, 0, number]),
        (BOOK, [BTCUSDT, 1, number, 1]),
        (BOOK, [BTCUSDT, 1, 0, number]),
        (DEPTH, [BTCUSDT, number, "0"]),
        (CANCEL, [1, BTCUSDT, number]),
        (DETAIL, [BTCUSDT, number]),
    ]


def test_10_ids_offsets_and_limits_outside_their_field_are_refused(client: Client) -> None:
    number: Any
    for number in (-1, -(2**63), 1.0, "1", None):
        for command, params in places_of(number):
            assert client.error(command, *params) == INVALID, (command, params)


def test_10_integers_beyond_64_bits_are_no_json(engine: Server, client: Client) -> None:
    for command, params in places_of(2**63):
        with Client(engine.place("rpc")) as other:
            other.send(frame(command, params))
            assert other.receive() is None, (command, params)
    assert client.result(SUMMARY)


def frame(command: int, params: list[Any]) -> bytes:
    return Frame(command, json.dumps(params).encode()).encode()


def test_12_any_offset_is_answered_and_at_most_101_entries(client: Client) -> None:
    limit(client, 1, 1, "1", "500")
    for offset in (1, 10_000, 2**63 - 1):
        assert client.result(BOOK, BTCUSDT, 1, offset, 101)["orders"] == []
        assert client.result(PENDING, 1, BTCUSDT, offset, 101)["records"] == []
    for command, params in (
        (BOOK, [BTCUSDT, 1, 0, 102]),
        (PENDING, [1, BTCUSDT, 0, 102]),
        (DEPTH, [BTCUSDT, 102, "0"]),
    ):
        assert client.error(command, *params) == INVALID


def test_13_the_depth_shows_what_was_just_placed(client: Client) -> None:
    for number in range(1, 20):
        limit(client, 1, 1, "1", "500")
        depth = client.result(DEPTH, BTCUSDT, 1, "0")
        assert depth["asks"] == [["500", str(number)]]


def test_15_long_details_with_escapes_are_kept(client: Client, restarted: Any) -> None:
    texts = ('"' * 4_000, "\\" * 4_000, "\n" * 4_000, "\x01" * 1_500, "\u20ac" * 1_500, "a" * 9_900)
    for number, text in enumerate(texts):
        assert client.result(UPDATE, 3, "BTC", "long", number, "1", {"text": text})
    with restarted() as again:
        assert again.result(QUERY, 3, "BTC")["BTC"]["available"] == str(len(texts))
        for number in range(len(texts)):
            repeated = again.error(UPDATE, 3, "BTC", "long", number, "1", {})
            assert repeated == (10, "repeat update")


def test_16_a_deep_detail_is_refused_or_survives_a_restart(
    engine: Server, client: Client, restarted: Any
) -> None:
    # The params and the detail are two levels themselves, and 128 are taken.
    for number, (depth, is_taken) in enumerate(((126, True), (127, False), (2046, False))):
        nested = "[" * depth + "]" * depth
        text = f'[4,"BTC","deep",{number},"1",{{"a":{nested}}}]'
        with Client(engine.place("rpc")) as other:
            other.send(Frame(UPDATE, text.encode()).encode())
            assert (other.receive() is not None) is is_taken, depth
    with restarted() as again:
        assert again.result(QUERY, 4, "BTC")["BTC"]["available"] == "1"
        assert again.result(UPDATE, 4, "BTC", "after", 1, "1", {})


def test_17_quotes_in_texts_do_no_harm(client: Client, restarted: Any) -> None:
    texts = ("o'clock", '"', "\\", "'; drop table x; --", "%s", "\n", "\u20ac" * 10, "")
    orders = []
    for text in texts:
        assert client.result(UPDATE, 5, "BTC", text, 1, "2", {"text": text})
        orders.append(limit(client, 5, 1, "1", "500", source=text))
    assert [order["source"] for order in orders] == list(texts)
    with restarted() as again:
        for text, order in zip(texts, orders, strict=True):
            assert again.error(UPDATE, 5, "BTC", text, 1, "2", {}) == (10, "repeat update")
            assert again.result(DETAIL, BTCUSDT, order["id"])["source"] == text


def test_17_texts_that_no_column_holds_are_refused(client: Client) -> None:
    for reason in ("r" * 31, "\U0001f600"):
        assert client.error(UPDATE, 1, "BTC", reason, 1, "1", {}) == INVALID
    assert client.result(UPDATE, 1, "BTC", "r" * 30, 1, "1", {})
    for source in ("s" * 31, "€" * 11, "\U0001f600"):
        params = limit_params(1, 1, "1", "500", source=source)
        assert client.error(PUT_LIMIT, *params) == INVALID
    assert limit(client, 1, 1, "1", "500", source="s" * 30)


def resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096


def test_18_summaries_leak_nothing(engine: Server, client: Client) -> None:
    def ask(count: int) -> None:
        for _ in range(count // 100):
            client.send(frame(MARKET_SUMMARY, [BTCUSDT, COINS]) * 100)
            for _ in range(100):
                assert client.receive() is not None

    ask(2_000)
    before = resident_bytes(engine.pid)
    ask(20_000)
    assert resident_bytes(engine.pid) - before < 2 << 20
