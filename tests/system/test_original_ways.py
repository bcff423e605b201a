"""The original's ways without systemd: `<service>.exe CONFIG`, its signals, scripts and watch."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from harness.processes import VIABTC, Reserved

NAME: Final = "accesshttp"

DEADLINE_S: Final = 20.0

START: Final = re.compile(r"^\[\d{4}-\d\d-\d\d [\d:.]{15}\] \[\d+\] \[vip\]run\.py:\d+\(begun\): ")
"""A line as the original's, of the level that is always written."""

BANNER: Final = re.compile(
    rf"process: {NAME} version: \d+\.\d+\.\d+, compile date: \w{{3}} [ \d]\d \d{{4}} [\d:]{{8}}\n"
)


def until(is_so: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline, f"{what} did not come true"
        time.sleep(0.02)


class Layout:
    """What `viabtc install` laid out, with a configuration of the original."""

    def __init__(self, directory: Path) -> None:
        self.home = directory / "prefix" / NAME
        self.monitor, self.control = Reserved(), Reserved()
        self.alerts = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.alerts.bind(("127.0.0.1", 0))
        self.alerts.settimeout(DEADLINE_S)
        nowhere = {"addr": "tcp@127.0.0.1:1", "max_pkg_size": 2_000_000}
        self.config: dict[str, Any] = {
            "debug": True,
            "log": {"path": "elsewhere", "flag": "fatal,error", "shift": "day"},
            "alert": {"host": NAME, "addr": f"127.0.0.1:{self.alerts.getsockname()[1]}"},
            "svr": {"bind": "tcp@127.0.0.1:0", "max_pkg_size": 102_400},
            "monitor": {"bind": f"tcp@{self.monitor.place}", "max_pkg_size": 1024},
            "worker_num": 1,
            "viabtc": {"control": self.control.place, "log_format": "original"},
            "timeout": 1.0,
            **{
                name: {"name": name, **nowhere}
                for name in ("matchengine", "marketprice", "readhistory")
            },
        }
        samples = directory / "samples"
        samples.mkdir()
        (samples / f"{NAME}.json").write_text(json.dumps(self.config))
        install = ["install", "--prefix", str(directory / "prefix"), "--conf", str(samples)]
        subprocess.run([*VIABTC, *install], check=True)

    def run(self, script: str, *arguments: str) -> tuple[int, str]:
        """Runs a program or script of the layout as an operator does: exit code, what it said."""
        path, said = self.home / script, self.home / "said"
        # What goes to the background keeps the streams: a pipe would not end.
        with said.open("w") as file:
            done = subprocess.run(
                [str(path), *arguments],
                cwd=path.parent,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                check=False,
                timeout=DEADLINE_S,
            )
        return done.returncode, said.read_text()

    def pid(self) -> int:
        """Of the watch."""
        return int((self.home / "log" / f"{NAME}.pid").read_text())

    def child(self) -> int:
        """Of the service; 0 while there is none."""
        path = Path(f"/proc/{self.pid()}/task/{self.pid()}/children")
        with contextlib.suppress(OSError):
            return int(path.read_text().split()[0] or 0) if path.read_text().split() else 0
        return 0

    def log(self) -> str:
        return "".join(path.read_text() for path in (self.home / "log").glob(f"{NAME}.*.log"))

    def answers(self) -> bool:
        """Whether the monitor port accepts."""
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.monitor.port), 1).close()
            return True
        return False

    def close(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            pid = self.pid()
            os.kill(pid, signal.SIGTERM)
            until(lambda: not Path(f"/proc/{pid}").exists(), "the end of the watch")
        self.monitor.close()
        self.control.close()
        self.alerts.close()


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    made = Layout(tmp_path)
    yield made
    made.close()


def test_a_program_goes_to_the_background_and_is_found_by_its_name(layout: Layout) -> None:
    assert layout.run(f"bin/{NAME}.exe")[0] == 1
    code, said = layout.run(f"bin/{NAME}.exe", "../conf/config.json")
    assert code == 0, said
    assert BANNER.match(said), said
    until(layout.answers, "the monitor port")
    until(lambda: "server start" in layout.log(), "readiness")
    for pid in (layout.pid(), layout.child()):
        assert Path(f"/proc/{pid}/comm").read_text().strip() == f"{NAME}.exe"
    assert any(START.match(line) for line in layout.log().splitlines()), layout.log()
    code, said = layout.run(f"bin/{NAME}.exe", "../conf/config.json")
    assert (code, f"process: {NAME} exist" in said) == (1, True)
    os.kill(layout.child(), signal.SIGTTIN)
    until(lambda: "log levels" in layout.log(), "a level more")
    control = f"http://{layout.control.place}/log/levels"
    body, kind = json.dumps({"levels": ["fatal", "info"]}).encode(), "application/json"
    asked = urllib.request.Request(control, body, {"Content-Type": kind}, method="PUT")
    with urllib.request.urlopen(asked, timeout=DEADLINE_S) as answer:
        assert json.load(answer) == {"levels": ["fatal", "info"]}
    watch, child = layout.pid(), layout.child()
    os.kill(child, signal.SIGINT)
    for number in (signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR1):
        # As killall does, which finds both by their name.
        os.kill(watch, number)
        os.kill(child, number)
    until(lambda: "SIGUSR1" in layout.log(), "the signal in the log")
    assert (layout.pid(), layout.child()) == (watch, child)
    state = Path(f"/proc/{watch}/status").read_text()
    assert "(stopped)" not in state
    os.kill(watch, signal.SIGQUIT)
    until(lambda: not Path(f"/proc/{watch}").exists(), "an orderly end")
    assert "server stop" in layout.log()
    assert not layout.answers()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_service_that_dies_or_hangs_is_back_and_an_alert_tells(
    layout: Layout, number: signal.Signals
) -> None:
    assert layout.run(f"bin/{NAME}.exe", "../conf/config.json")[0] == 0
    until(layout.answers, "the monitor port")
    until(lambda: "process is ready" in layout.log(), "readiness")
    before = layout.child()
    begun = time.monotonic()
    os.kill(before, number)
    until(lambda: layout.child() not in {0, before}, "another process")
    until(layout.answers, "the monitor port")
    print(f"back {time.monotonic() - begun:.2f} s after {number.name}")  # noqa: T201
    packet = layout.alerts.recv(10_240).decode()
    assert packet.startswith(f"373d26968a5a2b698045{NAME}: [fatal]watch.py:")
    assert f"process {before} was killed by SIGKILL" in packet


def test_scripts_restart_what_runs_and_start_what_does_not(layout: Layout) -> None:
    assert layout.run("shell/check_alive.sh")[0] == 0
    until(layout.answers, "the monitor port")
    first = layout.pid()
    assert layout.run("shell/restart.sh")[0] == 0
    assert layout.pid() != first
    until(layout.answers, "the monitor port")


def test_the_start_is_told_on_standard_error(layout: Layout) -> None:
    with (layout.home / "out").open("w") as out, (layout.home / "err").open("w") as err:
        program = [str(layout.home / "bin" / f"{NAME}.exe"), "../conf/config.json"]
        subprocess.run(program, cwd=layout.home / "bin", stdout=out, stderr=err, check=True)
        until(lambda: (layout.home / "err").read_text() == "server start\n", "the line")
    assert "server start" not in (layout.home / "out").read_text()


def test_scripts_find_what_runs_when_its_log_is_elsewhere(layout: Layout, tmp_path: Path) -> None:
    config = layout.home / "conf" / "config.json"
    log = {**layout.config["log"], "path": str(tmp_path / NAME)}
    config.write_text(json.dumps({**layout.config, "log": log}))
    assert layout.run(f"bin/{NAME}.exe", "../conf/config.json")[0] == 0
    until(layout.answers, "the monitor port")
    first = layout.pid()
    code, said = layout.run("shell/restart.sh")
    assert code == 0, said
    assert layout.pid() != first
    assert list(tmp_path.glob(f"{NAME}.*.log"))


@pytest.mark.parametrize("control", ["", "tcp@{place}"])
def test_what_runs_is_left_alone_however_its_control_port_is_written(
    layout: Layout, control: str
) -> None:
    config = layout.home / "conf" / "config.json"
    own = {**layout.config["viabtc"], "control": control.format(place=layout.control.place)}
    log = {**layout.config["log"], "path": f"../log/{NAME}"}
    config.write_text(json.dumps({**layout.config, "log": log, "viabtc": own}))
    assert layout.run("shell/check_alive.sh")[0] == 0
    until(lambda: "server start" in layout.log(), "the start")
    first = layout.pid()
    assert layout.run("shell/check_alive.sh")[0] == 0
    assert layout.pid() == first


def test_a_limit_that_cannot_be_raised_is_said_before_anything_goes_to_the_background(
    layout: Layout,
) -> None:
    config = layout.home / "conf" / "config.json"
    limits = {"file_limit": 2**32 - 1}
    config.write_text(json.dumps({**layout.config, "process": limits}))
    code, said = layout.run(f"bin/{NAME}.exe", "../conf/config.json")
    assert code == 1
    assert "process.file_limit is 4294967295" in said
    assert not (layout.home / "log" / f"{NAME}.pid").exists()


def test_what_is_wrong_with_a_file_is_said_before_anything_goes_to_the_background(
    layout: Layout,
) -> None:
    config = layout.home / "conf" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "timeout": "x"}))
    code, said = layout.run(f"bin/{NAME}.exe", "../conf/config.json")
    assert code == 1
    assert "timeout" in said
    assert not (layout.home / "log" / f"{NAME}.pid").exists()
