"""Playing a transcript's writes, and asking its questions about the history meanwhile."""

import json
import time
from collections.abc import Callable
from typing import Final

from golden.transcript import Call, Comparison, assert_one_line, calls
from harness.http import Connection
from harness.processes import Server

FRESH_S: Final = 1.5
"""The recordings asked for history this long after a write."""


def play(connection: Connection, scenario: str, until_written: Callable[[], None]) -> None:
    """Writes what the scenario wrote; every answer about the history must be the recorded one."""
    comparison = Comparison(earliest=time.time())
    for call in calls(scenario):
        method = call.declared
        if method is None or call.status != 200:
            continue
        if method.owner == "readhistory":
            until_written()
            _compare(connection, call, comparison)
        elif method.effect == "write":
            connection.call(call.method, *call.params)
    until_written()


def until_written(server: Server, *projections: str) -> None:
    """Waits until these hold every command, not longer than the recordings waited."""
    sequence = server.status()["sequence"]
    deadline = time.monotonic() + FRESH_S
    for name in projections:
        while server.metric(f"viabtc_{name}_sequence") < sequence:
            assert time.monotonic() < deadline, f"{name} lags"


def _compare(connection: Connection, call: Call, comparison: Comparison) -> None:
    request = {"method": call.method, "params": call.params, "id": call.body["id"]}
    text = connection.post(json.dumps(request, ensure_ascii=False).encode()).body.decode()
    assert_one_line(text)
    document = json.loads(text)
    if _is_refused_by_us(call):
        assert document["error"] == {"code": 1, "message": "invalid argument"}, call.place
    else:
        comparison.same(call, document, time.time())


def _is_refused_by_us(call: Call) -> bool:
    """Integers outside their field: the original wraps them around."""
    integers = [value for value in call.params if isinstance(value, int)]
    return any(value < 0 for value in integers) or (bool(integers) and integers[0] >= 2**32)
