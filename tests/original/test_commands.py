"""Random commands to the original's engine and to ours: replies, messages and rows are the same.

It takes the original's own program, `matchengine.exe` in the folder that `VIABTC_ORIGINAL` names.
What the design tolerates is left out: negative numbers, words longer than a column, more decimals
than an asset shows.
"""

import json
import random
import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path
from typing import Any, Final

from golden import transcript
from harness.kafka import Broker, records
from harness.mariadb import HISTORY, LOG, Mariadb
from harness.processes import Server, start_matchengine
from harness.rpc import Client, Frame
from original.deployment import Deployment

COMMANDS: Final = 5_000

DEADLINE_S: Final = 60.0

_LOOK_S: Final = 0.5

MARKETS: Final = ("BTCBCH", "ETHBCH", "LTCBCH", "NONE")
ASSETS: Final = ("BTC", "ETH", "LTC", "BCH", "NONE")
USERS: Final = range(1, 8)

BALANCE, UPDATE, ASSET_LIST, ASSET_SUMMARY = 101, 102, 104, 105
LIMIT, MARKET, PENDING, CANCEL, BOOK, DEPTH, DETAIL = range(201, 208)
MARKET_LIST, MARKET_SUMMARY = 307, 308

PLACED: Final = {LIMIT, MARKET}

ODD_NUMBERS: Final = (
    *("0", "-1", "-0", "1e3", "1E-3", " 1", "1 ", "+1", "abc", "", "00012.50", "0x10", "1,5"),
    *(".5", "5.", "1e", "0.1e1", "1_0", "12345678901"),
)
ODD_VALUES: Final[tuple[Any, ...]] = (None, True, 1, 0, 1.5, "x", "", [], {})

TIMES: Final = transcript.TIMES | {"create_time", "finish_time"}
"""Members and columns that hold a time."""

AUTOMATIC: Final = re.compile(r"(balance|user_deal|deal)_history")
"""Tables whose ids are the database's."""


class Asker:
    """Draws commands."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self.last_order = 0

    def next(self) -> tuple[int, list[Any]]:
        """A command and its parameters, some of them wrong."""
        draw = self._draw
        command, params = self._right()
        if params and draw.random() < 0.03:
            place = draw.randrange(len(params))
            match draw.randrange(3):
                case 0:
                    params.pop(place)
                case 1:
                    params.append(draw.choice(ODD_VALUES))
                case _:
                    params[place] = draw.choice(ODD_VALUES)
        return command, params

    def _right(self) -> tuple[int, list[Any]]:
        draw = self._draw
        user, market = draw.choice(USERS), draw.choice(MARKETS[:-1])
        if draw.random() < 0.02:
            market = MARKETS[-1]
        order = draw.randint(max(1, self.last_order - 40), self.last_order + 1)
        limit = draw.choice((0, 1, 10, 100, 101, 102))
        makers: dict[int, tuple[int, Callable[[], list[Any]]]] = {
            UPDATE: (18, lambda: self._update(user)),
            LIMIT: (40, lambda: self._limit(user, market)),
            MARKET: (12, lambda: self._market(user, market)),
            CANCEL: (8, lambda: [user, market, order]),
            PENDING: (4, lambda: [user, market, draw.randint(0, 3), limit]),
            BOOK: (4, lambda: [market, draw.randint(0, 3), draw.randint(0, 3), limit]),
            DETAIL: (3, lambda: [market, order]),
            BALANCE: (3, lambda: [user, *draw.sample(ASSETS, draw.randint(0, 3))]),
            ASSET_SUMMARY: (1, lambda: list(draw.sample(ASSETS[:-1], draw.randint(0, 2)))),
            MARKET_SUMMARY: (1, lambda: list(draw.sample(MARKETS[:-1], draw.randint(0, 2)))),
            ASSET_LIST: (1, list),
            MARKET_LIST: (1, list),
        }
        weights = [weight for weight, _ in makers.values()]
        command = draw.choices(list(makers), weights)[0]
        return command, makers[command][1]()

    def _limit(self, user: int, market: str) -> list[Any]:
        amount, price = self._number(0, 20, 8), self._number(90, 110, 2)
        fees = [self._number(0, 0.01, 4), self._number(0, 0.01, 4)]
        return [user, market, self._draw.randint(1, 2), amount, price, *fees, self._source()]

    def _market(self, user: int, market: str) -> list[Any]:
        amount, fee = self._number(0, 20, 8), self._number(0, 0.01, 4)
        return [user, market, self._draw.randint(1, 2), amount, fee, self._source()]

    def _source(self) -> str:
        return self._draw.choice(("web", "", "x" * 30, "a b", "é"))

    def _update(self, user: int) -> list[Any]:
        draw = self._draw
        business = draw.choice(("deposit", "withdraw", "b" * 30, ""))
        number = draw.randint(1, 40) if draw.random() < 0.3 else draw.randint(1, 10**9)
        change = draw.choice(("", "-")) + self._number(0, 2_000, 8)
        detail = draw.choice(({}, {"a": 1}, {"id": "7"}, {"t": 'é"\\\n'}))
        return [user, draw.choice(ASSETS), business, number, change, detail]

    def _number(self, least: float, most: float, digits: int) -> str:
        draw = self._draw
        if draw.random() < 0.04:
            return draw.choice(ODD_NUMBERS)
        return f"{Decimal(draw.uniform(least, most)):.{draw.randint(0, digits)}f}"


def comparable(value: Any) -> Any:
    """With numbers by value, and without times."""
    if isinstance(value, dict):
        return {name: comparable(item) for name, item in value.items() if name not in TIMES}
    if isinstance(value, list):
        return [comparable(item) for item in value]
    if isinstance(value, float):
        return "a time"
    if isinstance(value, str):
        try:
            number = Decimal(value)
        except InvalidOperation:
            return value
        return number.normalize() if number else Decimal(0)
    return value


def rows(server: Mariadb) -> dict[str, list[dict[str, Any]]]:
    """What the original's tables hold."""
    found = {}
    for database in (LOG, HISTORY):
        for table, documents in server.documents(database).items():
            if table.startswith(("viabtc_", "slice_")) or not documents:
                continue
            kept = []
            for row in sorted(documents, key=lambda row: int(row["id"])):
                detail = {"detail": json.loads(row["detail"])} if "detail" in row else {}
                numbered = {"id": 0} if AUTOMATIC.match(table) else {}
                kept.append(comparable({**row, **detail, **numbered}))
            found[table] = kept
    return found


def messages(broker: Broker) -> dict[str, list[Any]]:
    return {
        topic: [comparable(json.loads(record.payload)) for record in records(broker.place, topic)]
        for topic in ("orders", "deals", "balances")
    }


def depth(client: Client, market: str) -> Any:
    return comparable(client.result(DEPTH, market, 100, "0"))


def until_same(what: Callable[[], Any], other: Callable[[], Any]) -> None:
    """Waits until both have told everything, which each does when it gets to it."""
    deadline = time.monotonic() + DEADLINE_S
    while (ours := what()) != (theirs := other()):
        if time.monotonic() > deadline:
            assert ours == theirs
        time.sleep(_LOOK_S)


def test_what_is_answered_told_and_stored_is_the_same(
    tmp_path: Path,
    databases: Path,
    deployment: Deployment,
    broker: Broker,
    mariadb: Mariadb,
    golden_config: dict[str, Any],
    seed: int,
) -> None:
    deployment.start("matchengine", is_ours=False)
    folder = tmp_path / "ours"
    folder.mkdir()
    own_broker, own_mariadb = Broker(folder / "kafka"), Mariadb(folder / "mariadb", databases)
    with ExitStack() as stack:
        for server in (own_broker, own_mariadb):
            stack.callback(server.close)
            server.start()
        config = {**golden_config, **own_mariadb.sections(), "brokers": own_broker.place}
        engine = start_matchengine(folder, config)
        stack.callback(engine.stop)
        compare(deployment, engine, seed)
        until_same(lambda: messages(own_broker), lambda: messages(broker))
        until_same(lambda: rows(own_mariadb), lambda: rows(mariadb))


def compare(deployment: Deployment, engine: Server, seed: int) -> None:
    """Asks both the same, one command after the other."""
    asker = Asker(random.Random(seed))
    accepted = 0
    with Client(deployment.rpc()) as other, Client(engine.place("rpc")) as ours:
        for number in range(1, COMMANDS + 1):
            command, params = asker.next()
            body = json.dumps(params, ensure_ascii=False).encode()
            frame = Frame(command, body, number, number)
            theirs = json.loads(other.exchange(frame).body)
            mine = json.loads(ours.exchange(frame).body)
            assert comparable(mine) == comparable(theirs), (number, command, params, mine, theirs)
            if command in PLACED and theirs["error"] is None:
                asker.last_order = theirs["result"]["id"]
                accepted += 1
        for market in MARKETS[:-1]:
            # The original's may be half a second old.
            until_same(partial(depth, ours, market), partial(depth, other, market))
    assert accepted > COMMANDS / 10
