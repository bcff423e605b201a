"""Keys that a file leaves out: what the original takes for them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from viabtc.accesshttp.settings import read_accesshttp
from viabtc.accessws.settings import read_accessws
from viabtc.marketprice.settings import read_marketprice
from viabtc.matchengine.settings import read_matchengine
from viabtc.readhistory.settings import read_readhistory
from viabtc.service.logfile import Rotation
from viabtc.service.settings import SettingsError

COMMON: Final[dict[str, Any]] = {
    "log": {"path": "x", "flag": "fatal"},
    "alert": {"host": "x", "addr": "127.0.0.1:4444"},
    "svr": {"bind": "tcp@127.0.0.1:7000", "max_pkg_size": 10_240},
}

DATABASE: Final = {"host": "localhost", "user": "u", "pass": "p", "name": "n"}

REMOTE: Final = {"name": "x", "addr": "tcp@127.0.0.1:7316", "max_pkg_size": 2_000_000}

REMOTES: Final = dict.fromkeys(("matchengine", "marketprice", "readhistory"), REMOTE)

TOPIC: Final = {"brokers": "127.0.0.1:9092", "topic": "t"}

MONITOR: Final = {"bind": "tcp@127.0.0.1:8081", "max_pkg_size": 1_024}

FILES: Final[dict[str, tuple[Callable[[Path], Any], dict[str, Any]]]] = {
    "matchengine": (
        read_matchengine,
        {
            "cli": "tcp@127.0.0.1:7317",
            "db_log": DATABASE,
            "db_history": DATABASE,
            "brokers": "127.0.0.1:9092",
            "assets": [{"name": "BTC", "prec_save": 12}],
            "markets": [],
        },
    ),
    "readhistory": (read_readhistory, {"db_history": DATABASE}),
    "accesshttp": (read_accesshttp, {**REMOTES, "monitor": MONITOR}),
    "accessws": (
        read_accessws,
        {
            **REMOTES,
            "monitor": MONITOR,
            "auth_url": "http://127.0.0.1:8000/auth",
            "sign_url": "http://127.0.0.1:8000/sign",
            "depth_limit": [5],
            "depth_merge": ["0"],
            "orders": TOPIC,
            "balances": TOPIC,
        },
    ),
    "marketprice": (
        read_marketprice,
        {
            "accesshttp": "http://127.0.0.1:8080/",
            "deals": TOPIC,
            "redis": {"name": "mymaster", "addr": ["127.0.0.1:26381"]},
        },
    ),
}
"""How the file of a service is read, and what it must hold beside the common sections."""


def read(directory: Path, service: str, **keys: Any) -> Any:
    """The settings of the smallest file, with these keys in it."""
    reader, needed = FILES[service]
    path = directory / f"{service}.json"
    path.write_text(json.dumps({**COMMON, **needed, **keys}))
    settings, findings = reader(path)
    assert not findings.unknown
    return settings


@pytest.mark.parametrize("service", FILES)
def test_what_all_files_share(tmp_path: Path, service: str) -> None:
    common = read(tmp_path, service).common
    assert (common.file_limit, common.core_limit) == (0, 0)
    assert common.log.rotation == Rotation("size", bytes_max=100_000_000, count=100, keep=7)
    assert common.log.has_pid
    assert common.log.form == "original"
    assert common.log.levels == {"fatal"}


def test_what_the_engine_takes(tmp_path: Path) -> None:
    settings = read(tmp_path, "matchengine")
    assert (settings.slices.interval_s, settings.slices.keep_s) == (86_400, 259_200)
    assert (settings.rpc.buf_limit, settings.rpc.heartbeat_check) == (0, True)
    assert settings.databases.log.port == settings.databases.history.port == 3306


def test_what_readhistory_takes(tmp_path: Path) -> None:
    settings = read(tmp_path, "readhistory")
    assert (settings.workers, settings.is_indented) == (10, False)
    assert (settings.buf_limit, settings.heartbeat_check) == (0, True)
    assert settings.database.port == 3306


def test_what_the_doors_take(tmp_path: Path) -> None:
    http = read(tmp_path, "accesshttp")
    assert (http.threads, http.timeout_s, http.keep_alive_s, http.buf_limit) == (1, 1.0, 3600, 0)
    hub = read(tmp_path, "accessws")
    wanted = {"protocol": "chat", "origin_suffix": "", "keep_alive_s": 3600.0, "threads": 1}
    assert wanted.items() <= hub.hub.items()
    assert hub.timeout_s == 1.0
    assert (hub.orders.partition, hub.balances.partition) == (0, 0)
    for settings in (http, hub):
        for remote in settings.remotes.values():
            assert (remote.reconnect_timeout_s, remote.heartbeat_timeout_s) == (1.0, 3.0)


@pytest.mark.parametrize(
    ("given", "taken"), [(0, 3.0), (0.5, 2.0), (2, 2.0), (30, 30.0), (3600, 600.0)]
)
def test_heartbeats_are_held_to_the_originals_bounds(
    tmp_path: Path, given: float, taken: float
) -> None:
    remote = {**REMOTE, "heartbeat_timeout": given, "reconnect_timeout": 0}
    settings = read(tmp_path, "accesshttp", matchengine=remote)
    assert settings.remotes["matchengine"].heartbeat_timeout_s == taken
    assert settings.remotes["matchengine"].reconnect_timeout_s == 1.0


def test_what_marketprice_takes(tmp_path: Path) -> None:
    settings = read(tmp_path, "marketprice")
    assert settings.redis.db == 0
    assert settings.redis.addresses == (("127.0.0.1", 26381),)


@pytest.mark.parametrize(
    ("shift", "taken"),
    [("size", "size"), ("hour", "hour"), ("min", "min"), ("day", "day"), ("week", "day")],
)
def test_a_log_is_shifted_by_day_when_nothing_else_is_known(
    tmp_path: Path, shift: str, taken: str
) -> None:
    log = {**COMMON["log"], "shift": shift}
    assert read(tmp_path, "accesshttp", log=log).common.log.rotation.shift == taken


@pytest.mark.parametrize(
    ("service", "key", "right"),
    [
        ("matchengine", "slice_interval", "an integer from"),
        ("matchengine", "brokers", "a string"),
        ("readhistory", "worker_num", "an integer from"),
        ("readhistory", "debug", "true or false"),
        ("accesshttp", "timeout", "a number of seconds"),
        ("accesshttp", "process", "an object"),
    ],
)
def test_null_is_no_default(tmp_path: Path, service: str, key: str, right: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, service, **{key: None})
    (problem,) = caught.value.problems
    assert (problem.key, problem.what) == (key, "is null")
    assert problem.right.startswith(right)


@pytest.mark.parametrize(
    ("service", "key"),
    [
        *(("matchengine", key) for key in ("cli", "assets", "markets")),
        *(("readhistory", key) for key in ("db_history",)),
        *(("accesshttp", key) for key in ("monitor", "matchengine", "marketprice", "readhistory")),
        *(("accessws", key) for key in ("auth_url", "depth_limit", "depth_merge", "orders")),
        *(("marketprice", key) for key in ("accesshttp", "deals", "redis")),
        *((service, key) for service in FILES for key in COMMON),
    ],
)
def test_what_must_be_there_is_asked_for(tmp_path: Path, service: str, key: str) -> None:
    reader, needed = FILES[service]
    keys = {**COMMON, **needed}
    del keys[key]
    path = tmp_path / "file.json"
    path.write_text(json.dumps(keys))
    with pytest.raises(SettingsError, match=key):
        reader(path)
