"""The units in a real systemd, with databases and broker, installed as the manual says.

One boot for all tests. Times are printed, and judged by wide bounds: a busy machine stretches them.
"""

import contextlib
import json
import os
import re
import statistics
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from harness.box import HOME, WHEELS, Box, steps
from harness.kafka import JARS, jars
from harness.places import ROOT, shared
from harness.site import site
from systemd.clients import OTHER, USER, Deposits, Questions, balance, call
from viabtc.cli import SERVICES
from viabtc.status import CONTROLS

UNITS: Final = {
    "matchengine": "viabtc-matchengine.service",
    "marketprice": "viabtc-marketprice.service",
    "readhistory": "viabtc-readhistory@1.service",
    "accesshttp": "viabtc-accesshttp@1.service",
    "accessws": "viabtc-accessws@1.service",
    "rest": "viabtc-rest@1.service",
    "alertcenter": "viabtc-alertcenter.service",
}

THREADS: Final = {
    "matchengine": ("main", "engine", "rpc-0"),
    "marketprice": ("main", "rpc-0"),
    "readhistory": ("main", "rpc-0"),
    "accesshttp": ("main", "front-door-0"),
    "accessws": ("main", "hub-0"),
    "rest": ("main",),
    "alertcenter": ("main",),
}
"""What does the work of each, by the names of the threads."""

MANUAL: Final = (ROOT / "docs" / "operations.md").read_text()

STOP_S_MAX: Final = 5.0
"""For everything together; a quiet machine needs about one."""

ABORT_S_MAX: Final = 6.0
"""Between SIGABRT and SIGKILL: the unit says 1 s, and without a word of it it were 10."""

CLIENTS: Final = 8


@pytest.fixture(scope="module")
def box(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A machine on which nobody has installed anything of ours."""
    if os.geteuid() != 0:
        pytest.skip("a private systemd needs root")
    folder = tmp_path_factory.mktemp("box")
    jars()
    copies = [f"{wheels}:{WHEELS}", f"{ROOT / 'deploy'}:{HOME}/deploy"]
    machine = Box(shared("tools", "systemd-box.sh"), folder / "state", copies)
    machine.up()
    try:
        with machine.network():
            yield machine
    finally:
        machine.down()


@pytest.fixture(scope="module")
def installed(box: Box) -> Iterator[Box]:
    """The machine after every step of the manual; a site of its operator authenticates users."""
    box.run("mkdir", "-p", "/opt/kafka_2.13-3.9.1/libs")
    box.run("mount", "--bind", str(JARS), "/opt/kafka_2.13-3.9.1/libs")
    box.step(f"cp {WHEELS}/viabtc-*.whl .")
    with site() as address:
        for commands in steps(MANUAL, "As services"):
            # The box reaches no other machine: the release has been unpacked already.
            here = [line for line in commands.splitlines() if "https://archive." not in line]
            if "check-config" in commands:
                edit = rf's|"http://127.0.0.1:8000/internal/[^"]*"|"{address}"|'
                box.run("sed", "-i", edit, "/etc/viabtc/accessws-1.json")
            begun = time.monotonic()
            box.step("\n".join(here))
            took_s = time.monotonic() - begun
            print(f"{took_s:6.2f} s  {here[-1][:80]}")  # noqa: T201
        yield box


@pytest.fixture(scope="module")
def deposits(installed: Box) -> Iterator[Deposits]:
    """Deposits that go on through every end: none acknowledged is lost, none counts twice."""
    for user, asset in ((1, "BTC"), (2, "USDT")):
        call("balance.update", user, asset, "deposit", 1_000_000, "10000", {})
    running = Deposits(USER).start()
    yield running
    counts = running.stop()
    print(f"{counts.acknowledged} deposits, {counts.unanswered} connections lost")  # noqa: T201
    assert balance(USER) == counts.acknowledged


@pytest.fixture(scope="module")
def times() -> Iterator[dict[str, list[float]]]:
    """Seconds until clients were served again, by how a service ended."""
    found: dict[str, list[float]] = {}
    yield found
    for kind, seconds in found.items():
        middle, worst = statistics.median(seconds), max(seconds)
        print(f"{kind}: p50 {middle:.2f} s, worst {worst:.2f} s")  # noqa: T201


def test_every_service_has_a_unit_here() -> None:
    assert set(UNITS) == set(SERVICES) == set(THREADS)


def test_the_manual_makes_an_exchange(installed: Box) -> None:
    for service, unit in UNITS.items():
        assert installed.is_active(unit), service
        assert installed.show(unit, "NRestarts") == "0", installed.log()
    said = installed.run("/opt/viabtc/bin/viabtc", "status")
    assert all(service in said for service in UNITS), said


# A busy machine answers a question too late now and then: it is asked again.
AGAIN: Final = """for _ in 1 2 3 4 5; do
    if {{ {}
    }} > /tmp/said; then cat /tmp/said; exit; fi
done
cat /tmp/said; exit 1"""


def test_what_the_manual_asks_of_a_running_exchange_is_answered(installed: Box) -> None:
    (table,) = re.findall(r"^## Is it well\?$(.*?)^## ", MANUAL, re.MULTILINE | re.DOTALL)
    questions = steps(MANUAL, "Is it well?")
    questions += re.findall(r"^\|.*\| `((?:systemctl|curl|viabtc) [^`]+)`", table, re.MULTILINE)
    assert len(questions) >= 7
    commands = [
        block
        for section in ("Halts, new markets, more decimals", "Logs")
        for block in steps(MANUAL, section)
    ]
    commands += steps(MANUAL, "The original's monitor ports and console")
    assert len(commands) >= 3
    for asked in (*(AGAIN.format(question) for question in questions), *commands):
        said = installed.step(asked)
        assert said.strip(), asked
        assert "{error" not in said.replace('"', ""), said


def test_whatever_prometheus_and_grafana_ask_for_is_there(installed: Box) -> None:
    found = set()
    for control in CONTROLS.values():
        with urllib.request.urlopen(f"http://{control}/metrics", timeout=10) as answer:
            found |= set(re.findall(r"^([a-z_0-9]+)", answer.read().decode(), re.MULTILINE))
    rules = (ROOT / "deploy" / "prometheus" / "rules.yml").read_text()
    board = json.loads((ROOT / "deploy" / "grafana" / "viabtc.json").read_text())
    asked = [line for line in rules.splitlines() if "summary" not in line and line[:1] != "#"]
    asked += [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    names = set(re.findall(r"\bviabtc_[a-z_0-9]+", "\n".join(asked)))
    assert len(names) > 40
    missing = {name for name in names if not any(one.startswith(name) for one in found)}
    assert missing == set()


@contextlib.contextmanager
def back(
    box: Box,
    deposits: Deposits,
    times: dict[str, list[float]],
    service: str,
    what: str,
    kind: str = "",
) -> Iterator[str]:
    """The block ends a service, given its process; it must be back then, and clients served."""
    unit = UNITS[service]
    pid = box.show(unit, "MainPID")
    begun = time.monotonic()
    yield pid
    box.until(lambda: is_other(box, service, pid) and box.is_active(unit), f"{service} is back")
    ready_s = time.monotonic() - begun
    box.until(Questions(deposits).of(service), f"{service} serves after {what}")
    served_s = time.monotonic() - begun
    times.setdefault(kind or what, []).append(served_s)
    print(f"{service} after {what}: ready {ready_s:.2f} s, served {served_s:.2f} s")  # noqa: T201


@pytest.mark.parametrize("service", UNITS)
@pytest.mark.parametrize("kind", ["KILL", "STOP"])
def test_a_service_is_back_after_any_end(
    installed: Box, deposits: Deposits, times: dict[str, list[float]], service: str, kind: str
) -> None:
    with back(installed, deposits, times, service, f"SIG{kind}") as pid:
        installed.run("kill", f"-{kind}", pid)


@pytest.mark.parametrize(
    ("service", "thread"), [(name, thread) for name, names in THREADS.items() for thread in names]
)
def test_a_service_whose_work_hangs_is_back(
    installed: Box, deposits: Deposits, times: dict[str, list[float]], service: str, thread: str
) -> None:
    pid = installed.show(UNITS[service], "MainPID")
    with (
        back(installed, deposits, times, service, f"hang of {thread}", "hang"),
        installed.frozen(pid, thread),
    ):
        installed.until(lambda: is_other(installed, service, pid), f"{service} has been ended")


def test_a_service_that_does_not_heed_its_watchdog_is_killed_soon(
    installed: Box, deposits: Deposits, times: dict[str, list[float]]
) -> None:
    for service, unit in UNITS.items():
        assert installed.show(unit, "TimeoutAbortUSec") == "1s", service
    # Where each thread hangs nobody takes the watchdog's SIGABRT, and the time for a stop is 10 s.
    unit = UNITS["rest"]
    pid = installed.show(unit, "MainPID")
    began = installed.run("date", "+%s.%N").strip()
    with (
        back(installed, deposits, times, "rest", "hang of every thread"),
        installed.frozen(pid, "every"),
    ):
        installed.until(lambda: is_other(installed, "rest", pid), "rest has been ended")
    query = ("journalctl", "--no-pager", "-o", "short-unix", f"--since=@{began}", "-u", unit)
    said = installed.run(*query)
    aborted, killed = (
        float(line.split()[0])
        for words in (r"^.*Killing process \d+ .* SIGABRT", r"^.*Killing process \d+ .* SIGKILL")
        for line in re.findall(words, said, re.MULTILINE)[:1]
    )
    assert killed - aborted < ABORT_S_MAX, said


@pytest.mark.parametrize("service", UNITS)
def test_a_service_that_could_not_start_is_back_when_it_can(
    installed: Box, deposits: Deposits, times: dict[str, list[float]], service: str
) -> None:
    unit = UNITS[service]
    many = "-1" if "@" in unit else ""
    config = f"/etc/viabtc/{service}{many}.json"
    good = installed.read(config)
    begun = int(installed.show(unit, "NRestarts"))
    installed.write(config, "{")
    installed.run("kill", "-KILL", installed.show(unit, "MainPID"))
    installed.until(lambda: int(installed.show(unit, "NRestarts")) > begun + 2, "failed starts")
    assert not installed.is_active(unit)
    with back(installed, deposits, times, service, "failed starts"):
        installed.write(config, good)


def test_a_stop_answers_what_was_accepted_and_loses_nothing(
    installed: Box, deposits: Deposits
) -> None:
    # These do not send again: what took effect must have been answered.
    clients = [
        Deposits(OTHER, first=1 + index * 1_000_000, pause_s=0.0, repeats=False).start()
        for index in range(CLIENTS)
    ]
    installed.until(lambda: all(one.counts.acknowledged > 50 for one in clients), "a load")
    begun = time.monotonic()
    installed.run("systemctl", "stop", "viabtc.target", *UNITS.values())
    took_s = time.monotonic() - begun
    counts = [client.join() for client in clients]
    acknowledged = sum(count.acknowledged for count in counts)
    unknown = sum(count.unknown for count in counts)
    print(f"stopped in {took_s:.2f} s; {acknowledged} acknowledged, {unknown} timed out")  # noqa: T201
    for service, unit in UNITS.items():
        left, gone = (
            int(installed.show(unit, key)) / 1e6
            for key in ("ActiveExitTimestampMonotonic", "InactiveEnterTimestampMonotonic")
        )
        print(f"{service}: asked {left - begun:.2f} s after, gone in {gone - left:.2f} s")  # noqa: T201
    assert took_s <= STOP_S_MAX
    for service, unit in UNITS.items():
        assert installed.show(unit, "MainPID") == "0", service
        assert installed.show(unit, "Result") == "success", service
    data = "/var/lib/private/viabtc/matchengine"
    verified = installed.run("/opt/viabtc/bin/viabtc", "journal", "verify", data)
    assert "sealed by a clean stop" in verified
    begun = time.monotonic()
    installed.run("systemctl", "start", "viabtc.target")
    print(f"everything ready after {time.monotonic() - begun:.2f} s")  # noqa: T201
    held = balance(OTHER)
    assert acknowledged <= held <= acknowledged + unknown
    table = f"trade_history.balance_history_{OTHER % 100}"
    rows = f"SELECT COUNT(*) FROM {table} WHERE user_id = {OTHER}"  # noqa: S608
    installed.until(
        lambda: int(installed.run("mariadb", "-N", "-e", rows)) == held,
        "every deposit is in the history, once",
    )


def is_other(box: Box, service: str, pid: str) -> bool:
    """Whether a service runs as another process."""
    return box.show(UNITS[service], "MainPID") not in {pid, "0"}
