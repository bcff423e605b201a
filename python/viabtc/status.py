"""`viabtc status`: every service of this machine, in words or as JSON."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, Final

from rich.console import Console
from rich.table import Column, Table

CONTROLS: Final = {
    "matchengine": "127.0.0.1:9100",
    "marketprice": "127.0.0.1:9101",
    "readhistory": "127.0.0.1:9102",
    "accesshttp": "127.0.0.1:9103",
    "accessws": "127.0.0.1:9104",
    "alertcenter": "127.0.0.1:9105",
    "rest": "127.0.0.1:9106",
}
"""Control apps where the sample configurations have them."""

RUN: Final = {"run": "127.0.0.1:8000/control"}
"""Where `viabtc run` has its own, which is that of all of its services."""

_TIMEOUT_S: Final = 2.0

_AWAY: Final = "not running"

_LOOK_S: Final = 0.2
"""Pause between two looks at services that are not ready yet."""

_SHOWN: Final = (
    *("sequence", "epoch", "digest", "order_id", "deal_id", "halt", "halted_markets", "way_back"),
    *("sums", "projections", "links", "spooled_bytes", "audit_log"),
)
"""What the table tells of a service's status, where it has it."""


def here() -> Mapping[str, str]:
    """The services of the samples or, when only that one answers, `viabtc run`."""
    is_one_process = _ask_one(RUN["run"])["state"] != _AWAY and all(
        one["state"] == _AWAY for one in ask(CONTROLS).values()
    )
    return RUN if is_one_process else CONTROLS


def ask(controls: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Asks each control app: `state` is ready, not ready or not running; `status` is its own."""
    return {name: _ask_one(place) for name, place in controls.items()}


def _ask_one(place: str) -> dict[str, Any]:
    try:
        status = _get(f"http://{place}/status")
    except (OSError, ValueError) as error:
        return {"control": place, "state": _AWAY, "reason": _reason(error)}
    try:
        _get(f"http://{place}/health/ready")
    except urllib.error.HTTPError:
        return {"control": place, "state": "not ready", "status": status}
    except (OSError, ValueError) as error:
        return {"control": place, "state": _AWAY, "reason": _reason(error)}
    return {"control": place, "state": "ready", "status": status}


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"no control app: HTTP status {error.code}"
    cause = getattr(error, "reason", error)
    return str(getattr(cause, "strerror", None) or cause)


def _get(address: str) -> Any:
    with urllib.request.urlopen(address, timeout=_TIMEOUT_S) as response:  # noqa: S310 - http only
        return json.load(response)


def ask_until_ready(controls: Mapping[str, str], wait_s: float) -> dict[str, dict[str, Any]]:
    """As `ask`, again until every service is ready or `wait_s` seconds are over."""
    deadline = time.monotonic() + wait_s
    while True:
        found = ask(controls)
        if are_ready(found) or time.monotonic() >= deadline:
            return found
        threading.Event().wait(_LOOK_S)


def are_ready(found: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether every service that was asked takes traffic."""
    return all(one["state"] == "ready" for one in found.values())


def show(controls: Mapping[str, str], *, as_json: bool, wait_s: float) -> int:
    """Prints what was found; 0 when every service is ready within `wait_s` seconds, else 1."""
    found = ask_until_ready(controls, wait_s)
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        # What is long goes over several lines: hashes and sums are copied from here.
        table = Table("service", "state", "version", Column("what it says", overflow="fold"))
        for name, one in found.items():
            status = one.get("status", {})
            words = [_words(key, status[key]) for key in _SHOWN if key in status]
            says = ", ".join(filter(None, words)) or one.get("reason", "")
            table.add_row(name, one["state"], status.get("version", ""), says)
        Console().print(table)
    return 0 if are_ready(found) else 1


def _words(key: str, value: Any) -> str:
    """What a part of a status says; nothing when there is nothing to say."""
    if not value and key in {"halt", "halted_markets", "projections"}:
        return ""
    teller = _TELLERS.get(key)
    return f"{key} {value}" if teller is None else teller(value)


def _halt(value: Any) -> str:
    return f"TRADING IS HALTED: funds of {value['asset']} do not add up: {value['detail']}"


def _sums(value: Any) -> str:
    return "sums " + ", ".join(f"{name} {row['total']}" for name, row in value.items())


def _projections(value: Any) -> str:
    def told(name: str, one: Mapping[str, Any]) -> str:
        behind = f"{name} {one['lag_commands']} behind"
        return f"{behind} ({one['problem']})" if one["problem"] else behind

    return ", ".join(told(name, one) for name, one in value.items())


def _links(value: Any) -> str:
    down = [name for name, is_up in value.items() if not is_up]
    return f"without {', '.join(down)}" if down else "links all up"


_TELLERS: Final[dict[str, Callable[[Any], str]]] = {
    "halt": _halt,
    "halted_markets": lambda value: f"halted: {' '.join(value)}",
    "way_back": lambda value: f"way back to an original {value}",
    "sums": _sums,
    "projections": _projections,
    "links": _links,
}
"""How a part of a status reads, where its name and value do not say it already."""
