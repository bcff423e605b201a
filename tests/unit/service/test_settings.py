"""Configuration files: every problem is named at once, with what would be right."""

import json
from pathlib import Path
from typing import Any

import pytest

from viabtc.accesshttp.settings import read_accesshttp
from viabtc.matchengine.settings import read_matchengine
from viabtc.protocol.addresses import read_place
from viabtc.service.settings import SettingsError

MATCHENGINE: dict[str, Any] = {
    "debug": True,
    "process": {"file_limit": 1000, "core_limit": 0},
    "log": {"path": "matchengine", "flag": "fatal,error,warn,info", "num": 10},
    "alert": {"host": "matchengine", "addr": "127.0.0.1:4444"},
    "svr": {
        "bind": ["tcp@127.0.0.1:7316", "udp@127.0.0.1:7316"],
        "buf_limit": 100,
        "max_pkg_size": 10240,
        "heartbeat_check": False,
    },
    "db_log": {"host": "localhost", "user": "u", "pass": "p", "name": "trade_log"},
    "db_history": {"host": "localhost", "user": "u", "pass": "p", "name": "trade_history"},
    "cli": "tcp@127.0.0.1:7317",
    "assets": [
        {"name": "BTC", "prec_save": 12, "prec_show": 8},
        {"name": "BCH", "prec_save": 20, "prec_show": 8},
    ],
    "markets": [
        {
            "name": "BTCBCH",
            "stock": {"name": "BTC", "prec": 8},
            "money": {"name": "BCH", "prec": 8},
            "min_amount": "0.001",
        }
    ],
    "brokers": "127.0.0.1:9092",
    "slice_interval": 3600,
    "slice_keeptime": 259200,
    "history_thread": 10,
}

ACCESSHTTP: dict[str, Any] = {
    "debug": True,
    "log": {"path": "accesshttp", "flag": "fatal,error"},
    "alert": {"host": "accesshttp", "addr": "127.0.0.1:4444"},
    "svr": {"bind": "tcp@127.0.0.1:8080", "max_pkg_size": 102400},
    "monitor": {"bind": "tcp@127.0.0.1:8081", "max_pkg_size": 1024},
    "worker_num": 4,
    "timeout": 1.0,
    "matchengine": {"name": "m", "addr": "tcp@127.0.0.1:7316", "max_pkg_size": 2000000},
    "marketprice": {"name": "p", "addr": "tcp@127.0.0.1:7416", "max_pkg_size": 2000000},
    "readhistory": {"name": "r", "addr": "tcp@127.0.0.1:7424", "max_pkg_size": 2000000},
}


def written(path: Path, config: object) -> Path:
    file = path / "config.json"
    file.write_text(config if isinstance(config, str) else json.dumps(config))
    return file


def changed(config: dict[str, Any], key: str, value: object) -> dict[str, Any]:
    """A copy of `config` with another value at the dotted `key`; None removes it."""
    copy: dict[str, Any] = json.loads(json.dumps(config))
    *path, last = key.split(".")
    place: Any = copy
    for name in path:
        place = place[int(name)] if name.isdigit() else place[name]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return copy


def test_files_of_the_original_are_read(tmp_path: Path) -> None:
    engine, findings = read_matchengine(written(tmp_path, MATCHENGINE))
    assert engine.rpc.bind == ("tcp@127.0.0.1:7316", "udp@127.0.0.1:7316")
    assert engine.console == ("127.0.0.1", 7317)
    assert engine.common.alert is not None
    assert engine.common.alert.address == ("127.0.0.1", 4444)
    assert not findings.unknown
    assert not findings.exposed
    door, findings = read_accesshttp(written(tmp_path, ACCESSHTTP))
    assert door.threads == 4
    assert door.remotes["readhistory"].addresses == ("tcp@127.0.0.1:7424",)
    assert not findings.unknown


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("log", None, "log is missing"),
        ("log.path", 7, "log.path is 7; right would be: a string"),
        ("svr.bind", "tcp@localhost:1", "svr.bind"),
        ("svr.bind", [], "svr.bind is []"),
        ("svr.max_pkg_size", 10240.0, "svr.max_pkg_size is 10240.0"),
        ("svr.heartbeat_check", 1, "svr.heartbeat_check is 1; right would be: true or false"),
        ("cli", "7317", "HOST:PORT with a numeric IPv4 host"),
        ("cli", "stream@", "HOST:PORT with a numeric IPv4 host"),
        ("alert.addr", "127.0.0.1", "alert.addr"),
        ("assets.0.prec_save", "12", "prec_save"),
        ("markets.0.stock.name", "XBT", "XBT"),
        ("markets.0.stock.prec", 20, "prec"),
        ("markets.0.min_amount", 0.001, "min_amount"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, key: str, value: object, named: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_matchengine(written(tmp_path, changed(MATCHENGINE, key, value)))
    assert named in str(caught.value)


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    config = changed(changed(MATCHENGINE, "cli", 7), "svr.buf_limit", "many")
    with pytest.raises(SettingsError) as caught:
        read_matchengine(written(tmp_path, config))
    assert [problem.key for problem in caught.value.problems] == ["cli", "svr.buf_limit"]


def test_an_unknown_key_names_the_nearest_known_one(tmp_path: Path) -> None:
    config = changed(MATCHENGINE, "svr.max_pkgsize", 1)
    _, findings = read_matchengine(written(tmp_path, config))
    (problem,) = findings.unknown
    assert (problem.key, problem.right) == ("svr.max_pkgsize", "perhaps max_pkg_size")


def test_an_address_that_others_reach_is_warned_of(tmp_path: Path) -> None:
    config = changed(MATCHENGINE, "svr.bind", "tcp@0.0.0.0:7316")
    _, findings = read_matchengine(written(tmp_path, config))
    assert [problem.key for problem in findings.exposed] == ["svr.bind"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": NaN', "[" * 100_000])
def test_a_file_that_is_no_object_is_refused_in_words(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match="right would be: one JSON object"):
        read_matchengine(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("tcp@127.0.0.1:0x50", ("127.0.0.1", 80)),
        ("127.0.0.1:0120", ("127.0.0.1", 80)),
        ("127.0.0.1:65536", None),
        ("udp@127.0.0.1:80", None),
        ("localhost:80", None),
        ("127.0.0.1", None),
        (":80", None),
    ],
)
def test_places_are_read_as_the_original_does(text: str, place: tuple[str, int] | None) -> None:
    assert read_place(text) == place
