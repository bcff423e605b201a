"""The watch: whatever ends is started again, and told of once."""

from pathlib import Path

import pytest

from viabtc.service import watch
from viabtc.service.watch import Watch


def watched(path: Path, ends: int) -> tuple[list[str], int]:
    """What is reported of a child that fails so often and then ends well; how often it repeated."""

    def serve() -> int:
        with path.open("a", encoding="ascii") as file:
            file.write("r" if made.is_repeating else "f")
        return 1 if path.stat().st_size <= ends else 0

    reports: list[str] = []
    made = Watch(serve, lambda _: None, reports.append)
    assert made.run() == 0
    started = path.read_text(encoding="ascii")
    assert len(started) == ends + 1
    return reports, started.count("r")


def test_a_child_that_ends_at_its_start_again_and_again_is_told_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_PAUSE_MIN_S", 0.0)
    reports, repeated = watched(tmp_path / "starts", 5)
    assert len(reports) == 1
    assert "ended with 1 and is started again" in reports[0]
    assert repeated == 5


def test_it_is_told_of_again_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_PAUSE_MIN_S", 0.0)
    monkeypatch.setattr(watch, "_REPORT_S", 0.0)
    assert len(watched(tmp_path / "starts", 3)[0]) == 3


def test_a_child_that_had_settled_is_told_of_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_PAUSE_MIN_S", 0.0)
    monkeypatch.setattr(watch, "_SETTLED_S", -1.0)
    reports, repeated = watched(tmp_path / "starts", 3)
    assert (len(reports), repeated) == (3, 0)
