"""`viabtc doctor`: real faults are found, named, and come with what to do."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from harness.configs import small_config
from harness.redis import free_port
from viabtc.cli import load_service
from viabtc.doctor import OK, WARNING, WRONG, Check, examine, machine, show


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


def test_ports_of_datagrams_and_of_the_monitor_are_looked_at_too(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other, socket.socket() as probed:
        other.bind(("127.0.0.1", 0))
        probed.bind(("127.0.0.1", 0))
        probed.listen()
        datagrams = f"udp@127.0.0.1:{other.getsockname()[1]}"
        monitor = f"tcp@127.0.0.1:{probed.getsockname()[1]}"
        server = {**small_config()["svr"], "bind": [datagrams, "udp@127.0.0.1:0"]}
        checks = looked_at(tmp_path, svr=server, monitor={"bind": monitor})
    assert the(checks, datagrams).state == WRONG
    assert "ss -lunp" in the(checks, datagrams).do
    assert the(checks, monitor).state == WRONG
    assert the(checks, "udp@127.0.0.1:0").state == OK


def machine_with(root: Path, pages: str, swaps: str, **numbers: str) -> Path:
    """A folder that says what these parts of `/proc` and `/sys` would."""
    files = {
        "sys/kernel/mm/transparent_hugepage/enabled": pages,
        "proc/swaps": "Filename Type Size Used Priority\n" + swaps,
        **{name.replace("__", "/"): text for name, text in numbers.items()},
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_memory_that_would_make_answers_wait_is_told_of(tmp_path: Path) -> None:
    numbers = {"proc__sys__vm__swappiness": "60\n", "proc__sys__vm__overcommit_memory": "0\n"}
    swap = "/dev/sda2 partition 1 0 -2\n"
    bad = machine_with(tmp_path / "bad", "[always] madvise never\n", swap, **numbers)
    found = {check.subject: check for check in machine.memory(has_redis=True, root=bad)}
    assert {check.state for check in found.values()} == {WARNING}
    assert "echo madvise" in found["large pages"].do
    assert "vm.swappiness=1" in found["swap"].do
    assert "vm.overcommit_memory=1" in found["promises of memory"].do
    # Without a Redis beside it, both of its own are no matter.
    found = {check.subject: check for check in machine.memory(has_redis=False, root=bad)}
    assert {name: check.state for name, check in found.items()} == {
        "large pages": OK,
        "swap": WARNING,
    }
    numbers = {"proc__sys__vm__swappiness": "1\n", "proc__sys__vm__overcommit_memory": "1\n"}
    good = machine_with(tmp_path / "good", "always [madvise] never\n", swap, **numbers)
    assert {check.state for check in machine.memory(has_redis=True, root=good)} == {OK}
    never = machine_with(tmp_path / "never", "always madvise [never]\n", "", **numbers)
    found = {check.subject: check for check in machine.memory(has_redis=True, root=never)}
    assert (found["large pages"].state, found["swap"].what) == (WARNING, "is off")


def test_files_that_a_service_may_open_are_compared_with_what_it_wants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = machine_with(tmp_path, "", "", proc__sys__fs__nr_open="5000\n")

    def found(name: str, wanted: int, **figures: float) -> Check | None:
        data = {"process": {"file_limit": wanted}} if wanted else {}
        return next(iter(machine.open_files(name, data, figures, root)), None)

    assert found("accesshttp", 0) is None
    beyond = found("accesshttp", 5001)
    assert beyond is not None
    assert (beyond.state, "sysctl fs.nr_open=5001" in beyond.do) == (WRONG, True)
    monkeypatch.setattr("viabtc.doctor.machine.resource.getrlimit", lambda _: (100, 150))
    for wanted, state in ((100, OK), (200, WARNING)):
        check = found("matchengine", wanted)
        assert check is not None
        assert check.state == state, check
    # What the running process may is all that counts.
    for used, most, state in ((10, 65_536, OK), (900, 1_000, WRONG), (10, 1_024, WARNING)):
        check = found("accessws", 5001, process_open_fds=used, process_max_fds=most)
        assert check is not None
        assert check.state == state, check


def test_a_data_directory_that_is_none_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    own = {"data": str(file / "data"), "control": "127.0.0.1:0"}
    assert the(looked_at(tmp_path, viabtc=own), str(file)).state == WRONG


def test_a_wrong_key_comes_with_what_would_be_right(tmp_path: Path) -> None:
    checks = looked_at(tmp_path, assets=[{"name": "BTC", "prec_save": 99}], markets=[])
    wrong = [check for check in checks if check.state == WRONG]
    found = [(check.what, check.do) for check in wrong]
    assert found == [("assets[0].prec_save is 99", "make it 0 to 20")]


@pytest.mark.parametrize(
    ("keys", "what", "do"),
    [
        ({"cli": 5}, "cli is 5", "make it HOST:PORT with a numeric IPv4 host"),
        ({"brokers": None}, "brokers is null", "make it a string"),
        ({"svr": {}}, "svr.bind is missing", "add it: TYPE@PLACE"),
        ({"histroy_thread": 1}, "histroy_thread is unknown", "correct or remove it: perhaps"),
        ({"cli": "0.0.0.0:7317"}, "cli opens 0.0.0.0:7317", "make it 127.0.0.1, unless"),
        ({"viabtc": {"data": True}}, "viabtc.data is true", "make it a string"),
        ({"viabtc": {"control": {"a": 1}}}, 'viabtc.control is {"a": 1}', "make it HOST:PORT"),
    ],
)
def test_a_wrong_file_is_said_with_an_instruction_and_ends_nothing(
    tmp_path: Path, keys: dict[str, Any], what: str, do: str
) -> None:
    (found,) = [check for check in looked_at(tmp_path, **keys) if check.what.startswith(what)]
    assert found.do.startswith(do), found


def test_a_redis_that_is_none_ends_nothing(tmp_path: Path) -> None:
    path = tmp_path / "marketprice.json"
    path.write_text(json.dumps({"redis": {"name": "", "addr": 1.5}}))
    checks = examine({"marketprice": path}, lambda name, file: load_service(name).read(file))
    assert "redis.addr is 1.5" in [check.what for check in checks]


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
