"""Follows the journal of an engine with the model, and judges what clients were told by it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from harness.configs import small_config
from harness.load import ASSETS, MARKET, USERS, Entry
from harness.model import ASK, BID, CANCEL, UPDATE_BALANCE, Model, order_by_value, reply_by_value
from harness.processes import Place, Server
from harness.rpc import Client
from viabtc import _core

Token = tuple[Any, ...]
"""What makes a request the only one of its kind."""

_QUERY = 101
_BOOK = 205
_PAGE = 101


def token_of(command: int, params: Sequence[Any]) -> Token:
    """The token of a request of the load."""
    if command == UPDATE_BALANCE:
        return (command, *params[:4])
    if command == CANCEL:
        return (command, params[2])
    return (command, params[-1])


def small_model() -> Model:
    """The model of `small_config`."""
    config = small_config()
    market = config["markets"][0]
    return Model(
        market["name"],
        market["stock"]["name"],
        market["money"]["name"],
        market["stock"]["prec"],
        market["money"]["prec"],
        market["fee_prec"],
        Decimal(market["min_amount"]),
        {asset["name"]: asset["prec_save"] for asset in config["assets"]},
    )


@dataclass(frozen=True)
class Applied:
    """A command that the journal holds, and what the model says to it."""

    sequence: int
    reply: Any


@dataclass
class Follower:
    """The model, as far as the journal was read."""

    data: Path
    model: Model = field(default_factory=small_model)
    sequence: int = 0
    digest: str | None = None
    """Of the state that replaying the journal leads to."""
    is_torn: bool = False
    """Whether the journal ends with an unfinished record."""
    applied: dict[Token, int] = field(default_factory=dict)
    """Sequence of every command that ever took effect."""

    def read(self) -> dict[Token, Applied]:
        """Verifies the journal, and applies what it holds behind the last reading, each once.

        Every record from the newest snapshot on is read and replayed, and the state audited, as
        `viabtc journal verify` does.
        """
        news = {}
        for row in self._records():
            sequence, command, params = row["sequence"], row["command"], json.loads(row["params"])
            assert sequence == self.sequence + 1, f"command {self.sequence + 1} is missing"
            self.sequence = sequence
            token = token_of(command, params)
            before = self.applied.setdefault(token, sequence)
            assert before == sequence, f"{token} was applied as {before} and again as {sequence}"
            # A command that the model refuses ought not to be here: the exception says which.
            news[token] = Applied(sequence, self.model.apply(command, params))
        replayed = _core.inspect_journal(str(self.data), replay=True)
        assert replayed["ok"], replayed
        assert replayed["sequence"] == self.sequence, replayed
        self.digest = replayed["digest"]
        self.is_torn = "torn" in replayed
        return news

    def _records(self) -> Iterator[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        found = _core.inspect_journal(str(self.data), rows.append, self.sequence)
        assert found["ok"], found
        yield from (
            row for row in rows if row["kind"] == "command" and row["sequence"] > self.sequence
        )

    def judge(self, entries: Sequence[Entry], news: dict[Token, Applied]) -> int:
        """Compares what clients were told with the journal; how many successes they were told."""
        successes = 0
        last: dict[int, int] = {}
        for entry in entries:
            token = token_of(entry.command, entry.params)
            found = news.get(token)
            if entry.reply is None:
                if found is not None:
                    self._in_order(last, entry, found)
                continue
            reply = reply_by_value(entry.reply)
            if isinstance(reply, tuple):
                assert reply[0] != 1, f"{entry.params}: the load sent nonsense"
                is_repeat = entry.command == UPDATE_BALANCE and reply[0] == 10
                assert (token in self.applied) is is_repeat, f"{token} was answered {reply}"
            else:
                assert found is not None, f"{token} was acknowledged and is lost: {reply}"
                assert reply == found.reply, f"{token} was answered {reply}, not {found.reply}"
                self._in_order(last, entry, found)
                successes += 1
        return successes

    def _in_order(self, last: dict[int, int], entry: Entry, found: Applied) -> None:
        """Commands of one connection take effect in the order in which they were sent."""
        before = last.get(entry.connection, 0)
        assert found.sequence > before, f"{entry.params} overtook what was sent before it"
        last[entry.connection] = found.sequence

    def compare_status(self, server: Server) -> None:
        """Compares counters and digest of a running engine."""
        status = server.status()
        assert status["sequence"] == self.sequence
        assert status["order_id"] == self.model.last_order_id
        assert status["deal_id"] == self.model.last_deal_id
        assert self.digest is None or status["digest"] == self.digest

    def compare(self, rpc: Place) -> None:
        """Compares the whole state of a running engine with the model."""
        with Client(rpc) as client:
            for user in USERS:
                for asset, balance in client.result(_QUERY, user, *ASSETS).items():
                    key = (user, asset)
                    assert Decimal(balance["available"]) == self.model.available[key], key
                    assert Decimal(balance["freeze"]) == self.model.frozen[key], key
            for side in (ASK, BID):
                wanted = [order.shown() for order in self.model.sides[side]]
                assert list(_book(client, side)) == wanted


def _book(client: Client, side: int) -> Iterator[dict[str, Any]]:
    offset = 0
    while orders := client.result(_BOOK, MARKET, side, offset, _PAGE)["orders"]:
        yield from map(order_by_value, orders)
        offset += len(orders)
