"""The configuration of accessws: the sample is usable, and what is wrong is named."""

import json
from pathlib import Path
from typing import Any

import pytest

from viabtc import _core
from viabtc.accessws.settings import DEPTH_INTERVALS, DEPTH_LIMITS, read_accessws
from viabtc.service.settings import SettingsError

SAMPLE = Path(__file__).parents[3] / "deploy" / "config" / "accessws.json"


def sample() -> dict[str, Any]:
    config: dict[str, Any] = json.loads(SAMPLE.read_text())
    return config


def written(path: Path, config: object) -> Path:
    file = path / "accessws.json"
    file.write_text(json.dumps(config))
    return file


def test_the_sample_is_usable_and_every_option_is_one_of_the_hub() -> None:
    settings, findings = read_accessws(SAMPLE)
    assert findings.warnings() == [
        warning for warning in findings.warnings() if warning.key == "monitor.max_pkg_size"
    ]
    assert settings.hub["depth_limits"] == list(DEPTH_LIMITS)
    assert settings.hub["depth_intervals"] == list(DEPTH_INTERVALS)
    assert settings.paces.depth == 0.5
    hub = _core.Hub(["tcp@127.0.0.1:0"], options=settings.hub)
    hub.stop()
    with pytest.raises(ValueError, match="no option"):
        _core.Hub(["tcp@127.0.0.1:0"], options={**settings.hub, "depth_limit": []})


def test_the_originals_keys_without_effect_are_notes(tmp_path: Path) -> None:
    topic = {"brokers": "127.0.0.1:9092", "topic": "orders", "offset": 5, "limit": 1000}
    config = {**sample(), "cache_timeout": 10.0, "debug": True, "orders": topic}
    _, findings = read_accessws(written(tmp_path, config))
    assert findings.unknown == []
    idle = {note.key for note in findings.idle}
    assert {"cache_timeout", "debug", "orders.offset", "orders.limit"} <= idle


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("depth_limit", []),
        ("depth_limit", [5, 0]),
        ("depth_merge", "0"),
        ("depth_merge", [0.1]),
        ("auth_url", "127.0.0.1:8000"),
        ("sign_url", 5),
        ("depth_interval", 0),
        ("worker_num", 0),
        ("viabtc.origins", "https://example.org"),
        ("viabtc.origins", ["https://example.org/"]),
        ("viabtc.origins", ["example.org"]),
        ("viabtc.origins", ["https://Example.org"]),
        ("viabtc.auth_timeout", -1),
        ("viabtc.auth_recheck", "5"),
        ("viabtc.sign_lifetime", -1),
        ("viabtc.stream_message_bytes_max", 10),
        ("viabtc.stream_subscriptions_max", 0),
    ],
)
def test_what_cannot_work_is_named(tmp_path: Path, key: str, value: object) -> None:
    config = sample()
    section, _, name = key.rpartition(".")
    (config[section] if section else config)[name] = value
    with pytest.raises(SettingsError, match=key):
        read_accessws(written(tmp_path, config))


def test_bounds_of_clients_come_from_the_file(tmp_path: Path) -> None:
    own = {
        "origins": ["https://example.org", "https://example.org:8443", "null"],
        "auth_timeout": 10,
        "message_timeout": 15,
        "connections_per_address_max": 50,
        "stream_message_bytes_max": 4096,
        "stream_frames_per_second_max": 5,
        "stream_connections_per_address_max": 20,
        "stream_subscriptions_max": 30,
        "stream_ping_interval": 7.5,
    }
    config = sample()
    config["viabtc"] |= {**own, "auth_recheck": 2.5, "sign_lifetime": 600}
    settings, findings = read_accessws(written(tmp_path, config))
    assert findings.unknown == []
    seconds = {"auth_timeout", "message_timeout", "stream_ping_interval"}
    hub = {f"{name}_s" if name in seconds else name: value for name, value in own.items()}
    assert hub.items() <= settings.hub.items()
    assert (settings.recheck_s, settings.signed_s) == (2.5, 600)
    _core.Hub(["tcp@127.0.0.1:0"], options=settings.hub).stop()


def test_an_interval_that_is_no_number_is_refused_at_the_start(tmp_path: Path) -> None:
    settings, _ = read_accessws(written(tmp_path, {**sample(), "depth_merge": ["0", "x"]}))
    with pytest.raises(_core.ConfigError, match="depth_merge"):
        _core.Hub(["tcp@127.0.0.1:0"], options=settings.hub)
