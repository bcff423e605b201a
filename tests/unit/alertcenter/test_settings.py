"""The alert centre's file: the original's, with what the original does not let it say."""

import json
from pathlib import Path
from typing import Any

import pytest

from viabtc.alertcenter.settings import read_alertcenter
from viabtc.service.logfile import Rotation
from viabtc.service.settings import SettingsError

ORIGINAL: dict[str, Any] = {
    "process": {"file_limit": 1000000, "core_limit": 1000000000},
    "log": {"path": "/var/log/trade/alertcenter", "flag": "fatal,error,warn,info,debug,trace"},
    "svr": {"bind": ["tcp@127.0.0.1:4444", "udp@127.0.0.1:4444"], "max_pkg_size": 10240},
    "redis": {"name": "mymaster", "addr": ["127.0.0.1:26381", "redis.example:26382"]},
}

SMTP = {"addr": "mail.example:25", "from": "Alerts <a@example.org>", "to": ["b@example.org"]}


def written(path: Path, config: dict[str, Any]) -> Path:
    file = path / "alertcenter.json"
    file.write_text(json.dumps(config))
    return file


def test_the_log_is_the_originals_when_the_file_does_not_say(tmp_path: Path) -> None:
    settings, findings = read_alertcenter(written(tmp_path, ORIGINAL))
    log = settings.common.log
    assert log.rotation == Rotation("day", bytes_max=104_857_600, count=10, keep=7)
    assert (log.has_pid, log.form) == (False, "original")
    assert settings.redis.addresses[1] == ("redis.example", 26382)
    assert not findings.unknown


def test_the_log_is_what_the_file_says(tmp_path: Path) -> None:
    log = {**ORIGINAL["log"], "shift": "hour", "max": 5, "num": 2, "keep": 1, "pid": True}
    settings, _ = read_alertcenter(written(tmp_path, {**ORIGINAL, "log": log}))
    assert settings.common.log.rotation == Rotation("hour", 5, 2, 1)
    assert settings.common.log.has_pid


@pytest.mark.parametrize(
    ("own", "named"),
    [
        ({"webhook": "http://[::1"}, "viabtc.webhook"),
        ({"webhook": "example.org/hook"}, "viabtc.webhook"),
        ({"heartbeat": "ftp://example.org"}, "viabtc.heartbeat"),
        ({"heartbeat": "http://example.org:port/"}, "viabtc.heartbeat"),
        ({"smtp": {**SMTP, "to": []}}, "viabtc.smtp.to is []"),
        ({"smtp": {**SMTP, "to": ["nobody"]}}, "viabtc.smtp.to"),
        ({"smtp": {**SMTP, "from": "a@b.org\nBcc: c@d.org"}}, "viabtc.smtp.from"),
    ],
)
def test_what_would_fail_at_the_first_alert_is_said_at_the_start(
    tmp_path: Path, own: dict[str, Any], named: str
) -> None:
    with pytest.raises(SettingsError, match="right would be") as caught:
        read_alertcenter(written(tmp_path, {**ORIGINAL, "viabtc": own}))
    assert named in str(caught.value)


def test_ways_that_can_work_are_taken(tmp_path: Path) -> None:
    own = {
        "webhook": "https://example.org/hook?x=1",
        "smtp": SMTP,
        "heartbeat": "http://127.0.0.1:1",
    }
    settings, _ = read_alertcenter(written(tmp_path, {**ORIGINAL, "viabtc": own}))
    assert settings.sender.smtp is not None
    assert settings.sender.smtp.sender == SMTP["from"]
    assert settings.sender.is_any
