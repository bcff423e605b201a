"""`viabtc doctor`: real faults are found, named, and come with what to do."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from harness.configs import small_config
from harness.redis import free_port
from viabtc.cli import load_service
from viabtc.doctor import OK, WRONG, Check, examine, show


def looked_at(tmp_path: Path, **keys: Any) -> list[Check]:
    """What is found of a matchengine with these keys."""
    own = {"data": str(tmp_path / "data"), "control": f"127.0.0.1:{free_port()}"}
    config = {**small_config(), "viabtc": own, **keys}
    path = tmp_path / "matchengine.json"
    path.write_text(json.dumps(config))
    path.chmod(0o600)
    return examine({"matchengine": path}, lambda name, file: load_service(name).read(file))


def the(checks: list[Check], word: str) -> Check:
    (found,) = [check for check in checks if word in check.subject]
    return found


def test_a_sound_machine_is_told_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checks = looked_at(tmp_path)
    assert {check.state for check in checks} <= {OK, "warning"}
    assert show(checks, as_json=True) == 0
    assert {row["service"] for row in json.loads(capsys.readouterr().out)} == {
        "machine",
        "matchengine",
    }
    assert the(checks, "clock").state in {OK, "warning"}


def test_a_port_that_somebody_else_has_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        place = f"127.0.0.1:{other.getsockname()[1]}"
        server = {**small_config()["svr"], "bind": f"tcp@{place}"}
        checks = looked_at(tmp_path, svr=server)
    assert the(checks, place).state == WRONG
    assert "ss -ltnp" in the(checks, place).do
    assert show(checks, as_json=False) == 1
    assert "another process listens there. What to do: find it" in capsys.readouterr().out


def test_a_data_directory_that_is_none_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    own = {"data": str(file / "data"), "control": "127.0.0.1:0"}
    assert the(looked_at(tmp_path, viabtc=own), str(file)).state == WRONG


def test_a_wrong_key_comes_with_what_would_be_right(tmp_path: Path) -> None:
    checks = looked_at(tmp_path, assets=[{"name": "BTC", "prec_save": 99}], markets=[])
    wrong = [check for check in checks if check.state == WRONG]
    assert [(check.what, check.do) for check in wrong] == [("assets[0].prec_save is 99", "0 to 20")]


def test_services_that_are_called_and_do_not_answer_are_named(tmp_path: Path) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        nobody, silent = free_port(), mute.getsockname()[1]
        addresses = [f"tcp@127.0.0.1:{nobody}", f"tcp@127.0.0.1:{silent}"]
        called = {"name": "matchengine", "addr": addresses, "max_pkg_size": 1_000_000}
        checks = looked_at(tmp_path, matchengine=called)
    assert "Connection refused" in the(checks, f"matchengine tcp@127.0.0.1:{nobody}").what
    assert "too long" in the(checks, f"matchengine tcp@127.0.0.1:{silent}").what
    assert the(checks, f":{nobody}").do.startswith("start matchengine")


def test_databases_and_brokers_that_are_not_there_are_named(tmp_path: Path) -> None:
    database = {"host": "127.0.0.1", "port": free_port(), "user": "u", "pass": "p", "name": "n"}
    brokers = f"127.0.0.1:{free_port()}"
    checks = looked_at(tmp_path, db_log=database, db_history=database, brokers=brokers)
    for word in ("db_log", "db_history", "topic balances", "topic orders", "topic deals"):
        assert the(checks, word).state == WRONG, word
        assert the(checks, word).do
