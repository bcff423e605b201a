"""The units in a real systemd: started together, killed, stopped, hung; back without a hand.

One boot for all tests. Times are printed, not judged: a busy machine stretches them.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from harness.places import ROOT, shared

UNITS: Final = (
    "viabtc-matchengine.service",
    "viabtc-alertcenter.service",
    "viabtc-accesshttp@1.service",
    "viabtc-rest@1.service",
)

DEADLINE_S: Final = 30.0
"""For anything to come true in the box."""

STOP_S: Final = 10.0
"""What the units allow for answering what was accepted."""


class Box:
    """A booted systemd."""

    def __init__(self, tool: Path, environment: dict[str, str]) -> None:
        self._tool = str(tool)
        self._environment = environment

    def call(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Runs the tool of the box."""
        return subprocess.run(
            [self._tool, *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def run(self, *command: str) -> str:
        """Runs a command inside; what it prints. It must succeed."""
        done = self.call("exec", *command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def show(self, unit: str, key: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", unit, f"--property={key}", "--value").strip()

    def until(self, is_so: Callable[[], bool], what: str) -> float:
        """Waits for a condition; the time that it took."""
        begun = time.monotonic()
        while not is_so():
            if time.monotonic() - begun > DEADLINE_S:
                log = self.call("exec", "journalctl", "-n", "60", "--no-pager").stdout
                pytest.fail(f"{what} did not come true in {DEADLINE_S} s\n{log}")
        return time.monotonic() - begun

    def is_active(self, unit: str) -> bool:
        return self.show(unit, "ActiveState") == "active"

    def rpc(self, method: str, *params: Any) -> Any:
        """The result of a call through the front door; None when it was not answered."""
        body = json.dumps({"method": method, "params": params, "id": 1})
        done = self.call("exec", "curl", "-s", "-m", "5", "http://127.0.0.1:8080/", "-d", body)
        if done.returncode != 0:
            return None
        document = json.loads(done.stdout)
        return document["result"] if document["error"] is None else None


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel in a virtual environment of the system's Python, as an operator installs it."""
    folder = tmp_path_factory.mktemp("opt")
    build = [str(ROOT / ".venv" / "bin" / "maturin"), "build", "--quiet", "--release"]
    subprocess.run([*build, "--out", str(folder / "dist")], cwd=ROOT, check=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    subprocess.run(["/usr/bin/python3", "-m", "venv", str(folder / "viabtc")], check=True)
    pip = [str(folder / "viabtc" / "bin" / "pip"), "install", "--quiet"]
    subprocess.run([*pip, str(wheel)], check=True)
    # Its scripts name the folder that it was made in.
    for script in (folder / "viabtc" / "bin").iterdir():
        if script.is_file() and not script.is_symlink():
            text = script.read_bytes()
            moved = text.replace(str(folder / "viabtc").encode(), b"/opt/viabtc")
            script.write_bytes(moved)
    return folder / "viabtc"


@pytest.fixture(scope="module")
def box(installation: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A machine with everything installed and configured as `deploy/` has it."""
    if os.geteuid() != 0:
        pytest.skip("a private systemd needs root")
    folder = tmp_path_factory.mktemp("box")
    configs = folder / "etc"
    configs.mkdir()
    for path in (ROOT / "deploy" / "config").glob("*.json"):
        is_many = (ROOT / "deploy" / "systemd" / f"viabtc-{path.stem}@.service").exists()
        shutil.copy(path, configs / f"{path.stem}{'-1' if is_many else ''}.json")
    tool = shared("tools", "systemd-box.sh")
    environment = {
        **os.environ,
        "BOX": str(folder / "box"),
        "BOX_UNITS": str(ROOT / "deploy" / "systemd"),
        "BOX_COPY": f"{installation}:/opt/viabtc {configs}:/etc/viabtc",
    }
    machine = Box(tool, environment)
    booted = machine.call("up")
    assert booted.returncode == 0, booted.stderr
    try:
        # As a machine has it, and the box does not: credentials are mounted beside the service.
        machine.run("mount", "--make-rshared", "/")
        machine.run("/opt/viabtc/bin/viabtc", "tokens", "/etc/viabtc/tokens")
        begun = time.monotonic()
        machine.run("systemctl", "start", *UNITS)
        print(f"all units ready after {time.monotonic() - begun:.2f} s")  # noqa: T201
        yield machine
    finally:
        machine.call("down")


def deposit(box: Box, number: int) -> None:
    done = box.rpc("balance.update", 7, "USDT", "deposit", number, "1", {})
    assert done == {"status": "success"}


def balance(box: Box) -> str | None:
    held = box.rpc("balance.query", 7, "USDT")
    return None if held is None else str(held["USDT"]["available"])


def test_every_unit_is_active_and_serves(box: Box) -> None:
    for unit in UNITS:
        assert box.is_active(unit), unit
    before = int(balance(box) or "0")
    deposit(box, 1)
    assert balance(box) == str(before + 1)
    markets = box.run("curl", "-s", "http://127.0.0.1:8000/api/v1/markets")
    assert [market["name"] for market in json.loads(markets)] == ["BTCUSDT", "ETHUSDT", "ETHBTC"]


@pytest.mark.parametrize("signal", ["KILL", "STOP", "ABRT", "TERM"])
@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_is_back_after_any_end(box: Box, unit: str, signal: str) -> None:
    box.until(lambda: box.is_active(unit), f"{unit} is active")
    before = box.show(unit, "MainPID")
    held = balance(box)
    begun = time.monotonic()
    box.run("kill", f"-{signal}", before)

    def is_back() -> bool:
        return box.show(unit, "MainPID") not in {before, "0"} and box.is_active(unit)

    box.until(is_back, f"{unit} is back after SIG{signal}")
    box.until(lambda: balance(box) == held, "clients are served again, and nothing is lost")
    print(f"{unit} back {time.monotonic() - begun:.2f} s after SIG{signal}")  # noqa: T201


def test_a_stop_answers_what_was_accepted_and_seals_the_journal(box: Box) -> None:
    deposit(box, 2)
    held = balance(box)
    begun = time.monotonic()
    box.run("systemctl", "stop", *UNITS)
    elapsed = time.monotonic() - begun
    print(f"all units stopped in {elapsed:.2f} s")  # noqa: T201
    assert elapsed < STOP_S + DEADLINE_S
    # The others hold nothing; a starved machine may have cost one of them its watchdog's patience.
    assert box.show("viabtc-matchengine.service", "Result") == "success"
    for unit in UNITS:
        assert box.show(unit, "MainPID") == "0", unit
    data = "/var/lib/private/viabtc/matchengine"
    verified = box.run("/opt/viabtc/bin/viabtc", "journal", "verify", data)
    assert "sealed by a clean stop" in verified
    box.run("systemctl", "start", *UNITS)
    assert balance(box) == held
