"""Logs: lines as the original, or JSON; levels one by one, changed while running."""

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
import structlog

from viabtc.protocol.logline import format_line, one_less, one_more, read_levels
from viabtc.service import logs
from viabtc.service.logfile import LogFile, LogSocket, Rotation, open_log
from viabtc.service.sections import LogSettings


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_a_line_reads_as_the_original_writes_it() -> None:
    now = datetime(2017, 5, 1, 2, 3, 4, 5).astimezone()
    line = format_line(now, 77, "fatal", "me_cli.c:12(main)", "no way")
    assert line == "[2017-05-01 02:03:04.000005] [77] [fatal]me_cli.c:12(main): no way"
    assert "[77]" not in format_line(now, None, "warn", "a:1(b)", "x")


def test_levels_are_on_or_off_by_themselves() -> None:
    assert read_levels("FATAL, error\tnonsense\n trace") == {"fatal", "error", "trace"}
    assert one_more({"fatal", "warn"}) == "error"
    assert one_less({"fatal", "warn", "user2"}) == "warn"
    assert one_less(set()) is None
    assert one_more(read_levels("fatal error warn info notice debug trace user1")) is None


def test_a_terminal_shows_the_time_of_day_and_the_place_of_what_is_amiss(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    written = logs.set_up("run", logs.TERMINAL)
    written.log.info("snapshot made", sequence=21)
    written.log.warning("the disk is slow")
    lines = [re.sub("\x1b.*?m", "", line) for line in capsys.readouterr().err.splitlines()]
    assert re.fullmatch(r"\d\d:\d\d:\d\d \[info +\] snapshot made +sequence=21", lines[0])
    assert re.search(r"the disk is slow +at=test_logs\.py:\d+\(test_", lines[1])


def test_only_enabled_levels_are_written_and_marked_lines_always(tmp_path: Path) -> None:
    path = tmp_path / "x"
    settings = LogSettings(str(path), frozenset({"fatal", "warn"}), form="original")
    written = logs.set_up("test", settings)
    written.log.info("left out")
    written.log.warning("kept", key="a\nb")
    written.log.error("left out")
    written.log.info("server start", vip=True)
    written.less()
    written.log.warning("left out")
    written.more()
    written.log.error("now on")
    lines = (tmp_path / "x.log").read_text().splitlines()
    assert "left out" not in "".join(lines)
    assert lines[0].endswith(r": kept key=a\nb")
    assert "] [warn]test_logs.py:" in lines[0]
    assert "[vip]" in lines[1]
    assert lines[-1].partition("[error]")[2].endswith(": now on")


def test_what_a_line_hands_on_stands_behind_a_colon(tmp_path: Path) -> None:
    settings = LogSettings(str(tmp_path / "x"), frozenset({"info"}), "original", has_pid=False)
    logs.set_up("test", settings).log.info("alert message", text="host: [fatal]a:1(b): c")
    (line,) = (tmp_path / "x.log").read_text().splitlines()
    assert line.partition("): ")[2] == "alert message: host: [fatal]a:1(b): c"


def test_a_path_that_is_a_place_gets_the_lines_as_datagrams() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(20)
        file = open_log(f"127.0.0.1:{receiver.getsockname()[1]}", Rotation())
        assert isinstance(file, LogSocket)
        file.write("one\n")
        file.write("x" * 100_000)
        assert receiver.recv(65_535) == b"one\n"
        # What no datagram carries is cut.
        assert 10_240 <= len(receiver.recv(65_535)) < 65_508
        assert file.lost == 0
        file._socket.close()


CRASHES: Final = """
import os, sys
from viabtc.service import logs
from viabtc.service.logfile import Rotation
from viabtc.service.sections import LogSettings
settings = LogSettings(sys.argv[1], frozenset({"info"}), "original", rotation=Rotation(bytes_max=1))
written = logs.set_up("test", settings)
written.trace_crashes()
written.log.info("fills the first file")
written.log.info("is in the second")
os.abort()
"""


def test_a_crash_leaves_its_stacks_in_the_log_that_is_written_then(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CRASHES, str(tmp_path / "x")], check=False, capture_output=True
    )
    assert done.returncode == -signal.SIGABRT
    assert "in the second" in (text := (tmp_path / "x.log").read_text())
    assert "Fatal Python error: Aborted" in text
    assert "Fatal" not in (tmp_path / "x.log.1").read_text()


def test_services_of_ours_write_an_object_a_line(tmp_path: Path) -> None:
    written = logs.set_up("test", LogSettings(str(tmp_path / "x"), frozenset({"info"})))
    written.log.info("one\ntwo", vip=True, number=3)
    (line,) = (tmp_path / "x.log").read_text().splitlines()
    found = json.loads(line)
    assert (found["event"], found["number"], found["level"]) == ("one\ntwo", 3, "info")
    assert "vip" not in found


@pytest.mark.parametrize(("count", "kept"), [(3, 3), (1, 1), (0, 6)])
def test_a_full_file_is_shifted_and_so_many_stay(tmp_path: Path, count: int, kept: int) -> None:
    file = LogFile(str(tmp_path / "x"), Rotation(bytes_max=9, count=count))
    for number in range(5):
        file.write(f"number {number}\n")
    file.write("last\n")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["x.log", *(f"x.log.{number}" for number in range(1, kept))]
    assert (tmp_path / "x.log").read_text() == "last\n"
    if count != 1:
        assert (tmp_path / "x.log.1").read_text() == "number 4\n"


def test_of_two_processes_that_share_a_file_one_shifts_it(tmp_path: Path) -> None:
    rotation = Rotation(bytes_max=20)
    service = LogFile(str(tmp_path / "x"), rotation)
    service.write("twenty bytes of it .\n")
    # A file that is full is all that it knows; the service has begun another since.
    watch = LogFile(str(tmp_path / "x"), rotation)
    service.write("first of the next\n")
    watch.write("second\n")
    assert (tmp_path / "x.log").read_text() == "first of the next\nsecond\n"
    assert (tmp_path / "x.log.1").read_text() == "twenty bytes of it .\n"
    assert not (tmp_path / "x.log.2").exists()


def test_what_a_stop_left_behind_goes_at_the_start(tmp_path: Path) -> None:
    now = datetime(2026, 1, 9, 12).astimezone()
    for day in (1, 6, 7, 8):
        (tmp_path / f"x.2026010{day}.log").touch()
    LogFile(str(tmp_path / "x"), Rotation(shift="day", keep=2), now=lambda: now)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["x.20260108.log", "x.20260109.log"]


def test_files_named_by_their_day_go_after_so_many(tmp_path: Path) -> None:
    now = [datetime(2026, 1, 1, 12).astimezone()]
    (tmp_path / "other.20200101.log").touch()
    file = LogFile(str(tmp_path / "x"), Rotation(shift="day", keep=2), now=lambda: now[0])
    for day in range(5):
        file.write(f"day {day}\n")
        now[0] += timedelta(days=1)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["other.20200101.log", "x.20260104.log", "x.20260105.log"]


def test_a_file_that_was_moved_away_is_followed_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("viabtc.service.logfile._LOOK_S", 0.0)
    file = LogFile(str(tmp_path / "x"), Rotation())
    file.write("one\n")
    (tmp_path / "x.log").rename(tmp_path / "moved")
    file.write("two\n")
    assert (tmp_path / "x.log").read_text() == "two\n"
    assert (tmp_path / "moved").read_text() == "one\n"
    assert file.lost == 0
