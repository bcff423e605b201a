"""Recorded calls, and how an answer of ours is compared with the recorded one.

The allowances are those of the transcripts' README and no others: times are plausible instead of
equal, number texts are equal by value and ours in plain notation, and tolerated differences have
tests of their own.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from harness.places import shared
from viabtc.contract.methods import BY_NAME, Method

SCENARIOS: Final = (
    "balances",
    "limits",
    "markets",
    "flow-00",
    "flow-01",
    "flow-02",
    "flow-03",
    "flow-10",
    "flow-11",
)

TIMES: Final = {"ctime", "mtime", "ftime", "time"}
"""Members that hold a time."""

_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?")
_PLAIN: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")


@dataclass(frozen=True)
class Call:
    """A line of a transcript."""

    place: str
    method: str
    params: Any
    status: int
    body: Any
    """The answer's document; None when it was empty."""

    @property
    def declared(self) -> Method | None:
        """The method, if there is one of that name."""
        return BY_NAME.get(self.method)

    @property
    def is_refused_by_us(self) -> bool:
        """Whether the original wraps an integer that ours refuses: tolerated difference 3."""
        return self.method == "balance.query" and self.params[:1] in ([-1], [4294967297])


def calls(scenario: str) -> Iterator[Call]:
    """The calls of a transcript, in order."""
    path = shared("golden", f"{scenario}.jsonl")
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            row = json.loads(line)
            yield Call(
                f"{scenario}:{number} {row['method']} {json.dumps(row['params'])}",
                row["method"],
                row["params"],
                row["status"],
                row.get("body"),
            )


def engine_calls(scenario: str) -> Iterator[Call]:
    """The answered calls of methods that the engine answers."""
    for call in calls(scenario):
        method = call.declared
        if method is not None and method.owner == "matchengine" and call.status == 200:
            yield call


@dataclass
class Comparison:
    """Compares the answers of one run."""

    earliest: float
    """When the run began, in seconds since 1970; times before it are not plausible."""
    latest: float = 0.0
    """The newest time that an answer to an order showed."""

    def same(self, call: Call, ours: Any, now: float) -> None:
        """Fails when an answer is not the recorded one."""
        self._same(call.place, ours, call.body, now)
        if call.method.startswith("order.put") and ours["result"]:
            made = ours["result"]["ctime"]
            assert made >= self.latest, f"{call.place}: time runs backwards"
            self.latest = made

    def _same(self, place: str, ours: Any, theirs: Any, now: float) -> None:
        if isinstance(theirs, dict):
            assert isinstance(ours, dict), place
            assert list(ours) == list(theirs), f"{place}: members or their order differ"
            for name, value in theirs.items():
                if name in TIMES:
                    assert isinstance(ours[name], float), f"{place}.{name}"
                    assert self.earliest <= ours[name] <= now, f"{place}.{name} is not plausible"
                else:
                    self._same(f"{place}.{name}", ours[name], value, now)
            if "mtime" in theirs:
                assert ours["mtime"] >= ours["ctime"], f"{place}: changed before it was made"
        elif isinstance(theirs, list):
            assert isinstance(ours, list), place
            assert len(ours) == len(theirs), f"{place}: {len(ours)} entries, not {len(theirs)}"
            for index, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
                self._same(f"{place}[{index}]", mine, other, now)
        elif isinstance(theirs, str) and isinstance(ours, str) and ours != theirs:
            assert _NUMBER.fullmatch(theirs), f"{place}: {ours!r} is not {theirs!r}"
            assert _PLAIN.fullmatch(ours), f"{place}: {ours!r} is not in plain notation"
            assert Decimal(ours) == Decimal(theirs), f"{place}: {ours} is not {theirs}"
        else:
            assert type(ours) is type(theirs), f"{place}: {ours!r} is not {theirs!r}"
            assert ours == theirs, f"{place}: {ours!r} is not {theirs!r}"


def assert_one_line(text: str) -> None:
    """Fails when an answer is not laid out as the original lays it out without `debug`."""
    _assert_laid_out(text, None)


def assert_indented(text: str) -> None:
    """Fails when an answer is not laid out as the original lays it out with `debug`."""
    _assert_laid_out(text, 4)


def _assert_laid_out(text: str, indent: int | None) -> None:
    # Reals have 17 digits, which no parser keeps: they are looked through as they are written.
    document = json.loads(text, parse_float=lambda real: f"\0{real}\0")
    written = json.dumps(document, ensure_ascii=False, indent=indent)
    assert re.sub(r'"\\u0000([^\\]*)\\u0000"', r"\1", written) == text
