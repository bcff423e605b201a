"""A board that is seeded while deals go on is the one that saw every deal."""

import json
import os
import random
import time
from collections.abc import Sequence
from typing import Any, Final

import pytest

from viabtc import _core
from viabtc.accessws.seed import (
    Candles,
    NothingTradedError,
    SeedError,
    new_board,
    read_newest,
    windows,
)
from viabtc.contract.methods import BY_NAME
from viabtc.edges.clock import zone_table

MARKET: Final = "BTCUSDT"
SEED: Final = int(os.environ.get("VIABTC_SEED", "20261125"))
LIMIT: Final = 1_000
INTERVALS: Final = (1, 30, 60, 900, 3600, 14_400, 86_400, 604_800, 2_592_000)
SHANGHAI: Final = zone_table("Asia/Shanghai")


def message(number: int, seconds: float, draw: random.Random) -> bytes:
    price, amount = f"{draw.randint(790_000, 810_000) / 100:.8f}", f"{draw.randint(1, 99)}.00000000"
    side = draw.randint(1, 2)
    members = [seconds, MARKET, 1, 2, 3, 4, price, amount, "0", "0", side, number, "BTC", "USDT"]
    return json.dumps(members).encode()


def deals(draw: random.Random, now: int) -> list[bytes]:
    """Deals of the last days up to now, most of them close together at the end."""
    first = now - draw.choice((60, 7_200, 100_000, 6 * 86_400))
    times = [draw.uniform(first, now) for _ in range(100)]
    times += [draw.uniform(now - 90, now) for _ in range(60)]
    times += [now - draw.choice((0, 1)) + draw.random() / 2 for _ in range(40)]
    # A deal's time is never a whole number.
    placed = [round(one, 6) + 0.0000005 for one in sorted(times)]
    return [message(number, one, draw) for number, one in enumerate(placed, 1)]


def apply(board: _core.MarketBoard, messages: Sequence[bytes], first: int = 0) -> None:
    report = board.apply_messages(
        [(first + place, text, None) for place, text in enumerate(messages)]
    )
    assert report["refused"] == [], report


def ask(board: _core.MarketBoard, method: str, *params: Any) -> Any:
    body = board.call(BY_NAME[method].command, json.dumps(params).encode())
    document = json.loads(body)
    assert document["error"] is None, (method, params, document)
    return document["result"]


def shown(board: _core.MarketBoard, now: int) -> dict[str, Any]:
    """Everything that accessws asks a board for."""
    found = {
        f"kline {interval}": ask(board, "market.kline", MARKET, now - interval, now, interval)
        for interval in INTERVALS
    }
    found["state"] = ask(board, "market.status", MARKET, 86_400)
    found["today"] = ask(board, "market.status_today", MARKET)
    found["last"] = ask(board, "market.last", MARKET)
    found["deals"] = ask(board, "market.deals", MARKET, 100, 0)
    return found


@pytest.mark.parametrize("case", range(40))
def test_answers_of_different_moments_make_the_same_board(case: int) -> None:
    draw = random.Random(f"{SEED} {case}")
    now = int(time.time())
    messages = deals(draw, now)
    asked = _core.MarketBoard([MARKET], zone=SHANGHAI, first_candle_zero=draw.random() < 0.5)
    place = draw.randint(1, len(messages))
    apply(asked, messages[:place])

    def go_on() -> None:
        """More deals may come between two questions."""
        nonlocal place
        end = min(len(messages), place + draw.choice((0, 0, 1, 5, 30)))
        apply(asked, messages[place:end], place)
        place = end

    newest = read_newest(json.dumps(ask(asked, "market.deals", MARKET, LIMIT, 0)).encode(), LIMIT)
    go_on()
    last = ask(asked, "market.last", MARKET)
    rows = []
    for window in windows(newest.second, now):
        go_on()
        rows.append(ask(asked, "market.kline", MARKET, *window))
    board = new_board(MARKET, SHANGHAI, newest, Candles(*rows), last)
    # What the seed has comes again, and what it lacks comes for the first time.
    first = draw.randint(0, newest.deals[-1].id)
    apply(board, messages[first:], first)
    apply(asked, messages[place:], place)
    ours, theirs = shown(board, now), shown(asked, now)
    # The clock may have gone on between the two.
    if int(time.time()) == now:
        assert ours == theirs, f"VIABTC_SEED={SEED}, case {case}"
    assert ours["deals"] == theirs["deals"]
    assert ours["last"] == theirs["last"]


def test_what_makes_no_board_is_refused() -> None:
    with pytest.raises(NothingTradedError):
        read_newest(b"[]", LIMIT)
    draw, now = random.Random(SEED), int(time.time())
    board = _core.MarketBoard([MARKET], zone=SHANGHAI)
    apply(board, [message(number, now - 1 + number / 100, draw) for number in range(1, 11)])
    texts = json.dumps(ask(board, "market.deals", MARKET, 10, 0)).encode()
    with pytest.raises(SeedError, match="more than 10 deals in a second"):
        read_newest(texts, 10)
    newest = read_newest(texts, LIMIT)
    rows = [ask(board, "market.kline", MARKET, *window) for window in windows(newest.second, now)]
    last = ask(board, "market.last", MARKET)
    with pytest.raises(SeedError, match=r"the day began .* give both the same viabtc.timezone"):
        new_board(MARKET, (7_777, []), newest, Candles(*rows), last)
    with pytest.raises(NothingTradedError):
        new_board(MARKET, SHANGHAI, newest, Candles(*rows)._replace(seconds=[]), last)
