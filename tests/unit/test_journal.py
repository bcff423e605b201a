"""`viabtc journal`: what it says and does about the files of an engine."""

import contextlib
import json
import os
import sqlite3
import subprocess
from pathlib import Path

import pytest

from harness.configs import small_config
from harness.processes import VIABTC
from viabtc import _core, journal
from viabtc.service.failure import StartFailure

DEPOSIT = 102
SEGMENT = "journal-0000000001.seg"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The files of an engine that took some deposits and stopped."""
    engine = _core.Engine(json.dumps(small_config()), str(tmp_path), segment_bytes=1 << 20)
    for number in range(1, 21):
        engine.call(DEPOSIT, json.dumps([1, "BTC", "test", number, "1", {}]).encode())
    assert engine.stop()
    return tmp_path


def damage(data: Path) -> bytes:
    """Flips a bit in the middle; the bytes as they then are."""
    content = bytearray((data / SEGMENT).read_bytes())
    content[6000] ^= 1
    (data / SEGMENT).write_bytes(content)
    return bytes(content)


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [*VIABTC, "journal", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_whole_journal_needs_no_repair(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert journal.repair(data, None) == 0
    assert "nothing to repair" in capsys.readouterr().out


def test_a_repair_is_refused_without_a_source_and_changes_nothing(data: Path) -> None:
    damaged = damage(data)
    done = run("repair", str(data))
    assert done.returncode == 1
    assert f"{SEGMENT} is damaged at byte" in done.stdout
    assert "a journal is not repaired by cutting it" in done.stderr
    assert "What to do: name where the commands were also written, with --from-mysql" in done.stderr
    assert (data / SEGMENT).read_bytes() == damaged


def test_a_repair_names_the_way_from_the_operation_log(data: Path) -> None:
    damaged = damage(data)
    with pytest.raises(StartFailure, match="begins from the databases of"):
        journal.repair(data, Path("matchengine.json"))
    assert (data / SEGMENT).read_bytes() == damaged


def test_a_damaged_journal_is_found_and_refused_at_the_start(data: Path) -> None:
    damage(data)
    verified = run("verify", str(data))
    assert verified.returncode == journal.EXIT_DAMAGED
    assert "DAMAGED" in verified.stdout
    with pytest.raises(_core.StartError) as refused:
        _core.Engine(json.dumps(small_config()), str(data), segment_bytes=1 << 20)
    problem, remedy = refused.value.args
    assert "is damaged at byte" in problem
    assert "nothing was changed" in remedy


def test_what_snapshots_cover_has_gone_and_is_not_missing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    engine = _core.Engine(json.dumps(small_config()), str(data), segment_bytes=1 << 20)
    for number in range(1, 13):
        engine.call(DEPOSIT, json.dumps([1, "BTC", "test", number, "1", {}]).encode())
        if number % 4 == 0:
            engine.rotate()
            assert run("snapshot", str(data)).returncode == 0
    assert engine.stop()
    assert not (data / SEGMENT).exists()
    dumped = run("dump", str(data))
    assert dumped.returncode == 0, dumped.stderr
    assert dumped.stderr == "begins with command 9: snapshots hold what was before\n"
    rows = [json.loads(line) for line in dumped.stdout.splitlines()]
    assert [row["sequence"] for row in rows if row["kind"] == "command"] == [9, 10, 11, 12]
    assert run("dump", str(data), "--after", "10").stderr == ""
    repaired = run("repair", str(data))
    assert repaired.returncode == 0, repaired.stdout
    assert "nothing to repair" in repaired.stdout
    for snapshot in data.glob("snapshot-*.snap"):
        snapshot.unlink()
    missing = run("repair", str(data))
    assert "commands before this segment are needed and missing" in missing.stdout


@pytest.mark.parametrize("name", ["nowhere", "file", "empty"])
def test_what_is_no_engines_folder_is_not_found_sound(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    folder, target = tmp_path / name, tmp_path / "target"
    for look in (
        journal.verify,
        lambda folder: journal.dump(folder, 0),
        lambda folder: journal.copy(folder, target),
        journal.snapshot,
        lambda folder: journal.repair(folder, None),
    ):
        with pytest.raises(StartFailure, match="name the data directory of an engine"):
            look(folder)
    assert capsys.readouterr().out == ""
    assert not target.exists()
    assert not list((tmp_path / "empty").iterdir())


def test_a_process_gives_way_with_processor_and_disk(tmp_path: Path) -> None:
    script = "from viabtc import _core; import os; _core.give_way(); print(os.nice(0))"
    done = subprocess.run(
        [VIABTC[0], "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "19"
    assert os.nice(0) < 19


def test_a_copy_leads_to_the_same_state_and_is_no_repetition(data: Path, tmp_path: Path) -> None:
    target = tmp_path / "copies" / "one"
    (data / "lock").write_text("1")
    with contextlib.closing(sqlite3.connect(data / "history.sqlite3")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE kept (number INTEGER)")
        database.execute("INSERT INTO kept VALUES (7)")
        database.commit()
        # The row is in the database's own log only.
        assert (data / "history.sqlite3-wal").stat().st_size > 0
        done = run("copy", str(data), str(target))
    assert done.returncode == 0, done.stderr
    assert "every command up to 20" in done.stdout
    assert (target / SEGMENT).read_bytes() == (data / SEGMENT).read_bytes()
    assert not (target / "lock").exists()
    assert not list(target.glob("spare-*"))
    with contextlib.closing(sqlite3.connect(target / "history.sqlite3")) as database:
        assert database.execute("SELECT number FROM kept").fetchall() == [(7,)]
    again = run("copy", str(data), str(target))
    assert again.returncode == 1
    assert "is there already" in again.stderr


def test_damage_is_not_copied(data: Path, tmp_path: Path) -> None:
    damage(data)
    target = tmp_path / "copy"
    done = run("copy", str(data), str(target))
    assert done.returncode == 1
    assert "is damaged at byte" in done.stderr
    assert not list(tmp_path.glob("copy*"))
