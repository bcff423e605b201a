"""Market data of `viabtc run`: every method, and each deal counted once whatever happens."""

import random
import subprocess
import time
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest

from harness.candles import STEPS, Deal, candles, filled, numbers
from harness.http import Connection
from harness.processes import VIABTC, Server, start_exchange

MARKET: Final = "BTCUSDT"

LOOK_S: Final = 0.02
FRESH_S: Final = 1.5
"""Market data is asked for so long after the last deal, at most."""

PATIENCE_S: Final = 30.0
"""Where it does not matter how soon a busy machine gets there."""


def fund(door: Connection) -> None:
    for user in (1, 2):
        for asset in ("BTC", "USDT"):
            door.result("balance.update", user, asset, "deposit", user, "10000000", {})


def trade(door: Connection, price: str, amount: str, side: int) -> None:
    """User 1 rests, user 2 takes: one deal, whose taker has `side`."""
    for user, order_side in ((1, 3 - side), (2, side)):
        result = door.result(
            "order.put_limit", user, MARKET, order_side, amount, price, "0", "0", "test"
        )
    assert Decimal(result["left"]) == 0, result


def recent(door: Connection) -> list[Deal]:
    """Every deal, as the list shows them, oldest first."""
    shown = door.result("market.deals", MARKET, 10_000, 0)
    return [
        Deal(row["id"], row["time"], Decimal(row["price"]), Decimal(row["amount"]), row["type"])
        for row in reversed(shown)
    ]


def until_deals(door: Connection, count: int, deadline_s: float = PATIENCE_S) -> list[Deal]:
    deadline = time.monotonic() + deadline_s
    while True:
        deals = recent(door)
        if len(deals) >= count or time.monotonic() > deadline:
            return deals


def wait_past(second: int) -> None:
    """Waits until a second of the clock is over."""
    while int(time.time()) <= second:
        time.sleep(LOOK_S)


def until_stored(server: Server) -> None:
    """Waits until the store has all deals so far."""
    wanted = server.status()["market"]["sequence"]
    server.until(lambda: server.status()["market"]["stored_sequence"] >= wanted)


def check_all(door: Connection, wanted: list[tuple[Decimal, Decimal, str]]) -> None:
    """Compares every length of candle, the list and the figures with the deals that were made."""
    deals = until_deals(door, len(wanted))
    assert [deal.id for deal in deals] == list(range(1, len(wanted) + 1))
    assert [(deal.price, deal.amount, deal.side) for deal in deals] == wanted
    start, end = int(deals[0].time), int(deals[-1].time)
    for step in STEPS.values():
        answer = numbers(door.result("market.kline", MARKET, start, end, step))
        assert answer == filled(candles(deals, step), start, end, step), step
    last = deals[-1].price
    assert Decimal(door.result("market.last", MARKET)) == last
    # The rolling figures take candles that began before the second of asking: a deal in the first
    # second of a minute is among them from the next second on.
    wait_past(end // 60 * 60)
    status = door.result("market.status", MARKET, 604_800)
    volume = sum((deal.amount for deal in deals), Decimal(0))
    turnover = sum((deal.amount * deal.price for deal in deals), Decimal(0))
    prices = [deal.price for deal in deals]
    assert {key: Decimal(value) for key, value in status.items() if key != "period"} == {
        "last": last,
        "open": prices[0],
        "close": last,
        "high": max(prices),
        "low": min(prices),
        "volume": volume,
        "deal": turnover,
    }


def test_every_method_answers_within_moments_of_a_deal(exchange: Server) -> None:
    with Connection(exchange.place("http")) as door:
        assert door.result("market.last", MARKET) == "0"
        assert door.result("market.kline", MARKET, 1, int(time.time()), 60) == []
        fund(door)
        trade(door, "8000.5", "0.25", 2)
        deal = until_deals(door, 1, FRESH_S)[0]
        assert (deal.id, deal.side, deal.price) == (1, "buy", Decimal("8000.5"))
        assert door.result("market.last", MARKET) == "8000.50000000"
        today = door.result("market.status_today", MARKET)
        assert today == {
            "open": "8000.5",
            "last": "8000.5",
            "high": "8000.5",
            "low": "8000.5",
            "volume": "0.25",
            "deal": "2000.125",
        }
        second = int(deal.time)
        row = [second, "8000.5", "8000.5", "8000.5", "8000.5", "0.25", "2000.125", MARKET]
        assert door.result("market.kline", MARKET, second, second, 1) == [row]
        assert door.result("market.deals", MARKET, 10, 1) == []
        for method, params in (
            ("market.last", ["NOPE"]),
            ("market.last", []),
            ("market.status", [MARKET, 0]),
            ("market.kline", [MARKET, 1, 2, 7]),
            ("market.deals", [MARKET, 10_001, 0]),
            ("market.status_today", [1]),
        ):
            assert door.error(method, *params) == (1, "invalid argument"), (method, params)


def test_a_deal_counts_once_however_often_the_process_is_killed(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    wanted: list[tuple[Decimal, Decimal, str]] = []
    server = start_exchange(tmp_path)
    try:
        with Connection(server.place("http")) as door:
            fund(door)
        for _ in range(6):
            with Connection(server.place("http")) as door:
                for _ in range(draw.randrange(1, 30)):
                    price, amount = draw.randrange(1, 10**6), draw.randrange(1, 10**6)
                    side = draw.choice([1, 2])
                    trade(door, f"{price}e-2", f"{amount}e-8", side)
                    # The engine writes prices and amounts with the market's decimals.
                    taker = "sell" if side == 1 else "buy"
                    wanted.append((Decimal(price) / 100, Decimal(amount).scaleb(-8), taker))
                if draw.random() < 0.5:
                    until_stored(server)
            server.kill()
            server = start_exchange(tmp_path)
            with Connection(server.place("http")) as door:
                check_all(door, wanted)
    finally:
        if server.is_running():
            assert server.stop() == 0, server.said()


def test_a_lost_store_is_made_again_from_the_feed(tmp_path: Path) -> None:
    server = start_exchange(tmp_path)
    with Connection(server.place("http")) as door:
        fund(door)
        for number in range(1, 6):
            trade(door, f"{number}", "1", 1)
        wanted = [(Decimal(number), Decimal(1), "sell") for number in range(1, 6)]
        check_all(door, wanted)
    assert server.stop() == 0, server.said()
    for file in (tmp_path / "data").glob("market.sqlite3*"):
        file.unlink()
    server = start_exchange(tmp_path)
    with Connection(server.place("http")) as door:
        check_all(door, wanted)
    assert server.stop() == 0, server.said()


@pytest.mark.parametrize("kind", ["garbage", "directory"])
def test_a_store_that_is_none_stops_the_start_with_a_sentence(tmp_path: Path, kind: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    if kind == "garbage":
        (data / "market.sqlite3").write_bytes(b"no database" * 100)
    else:
        (data / "market.sqlite3").mkdir()
    ports = [part for name in ("http", "rest", "rpc", "console") for part in port(name)]
    done = subprocess.run(
        [*VIABTC, "run", "--data", str(data), *ports],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert "the market data cannot be read" in done.stderr
    assert "What to do: move the file away" in done.stderr


def port(name: str) -> tuple[str, str]:
    return f"--{name}", "127.0.0.1:0"
