"""What administrators do through a running exchange stands in the audit log, and stays there."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.processes import VIABTC, Server, start_exchange
from viabtc.service.tokens import open_tokens


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Server]:
    server = start_exchange(tmp_path)
    yield server
    assert server.stop() == 0, server.said()


def api(server: Server, data: Path, who: str) -> httpx.Client:
    base = server.control.removesuffix("/control")
    token = open_tokens(data / "tokens").by_name[who]
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=f"{base}/api/v1", headers=headers, timeout=10)


def entries(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def verify(*words: str) -> tuple[int, str]:
    command = [*VIABTC, "audit-log", "verify", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_what_an_administrator_does_is_written_before_and_after(
    exchange: Server, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    log = data / "audit"
    deposit = {"user": 9, "asset": "USDT", "reason": "gift", "reason_id": 7, "change": "5.5"}
    with api(exchange, data, "admin") as me, api(exchange, data, "user-1") as user:
        me.headers["X-Request-Id"] = "ticket-42"
        assert me.post("/admin/balance-updates", json=deposit).status_code == 201
        assert me.post("/admin/balance-updates", json=deposit).status_code == 409
        halted = me.post("/admin/markets/BTCUSDT/halt", json={"note": "an upgrade"})
        assert halted.headers["X-Request-Id"] == "ticket-42"
        assert me.post("/admin/markets/BTCUSDT/halt", json={"not": 1}).status_code == 400
        assert me.get("/admin/state").is_success
        assert user.post("/admin/balance-updates", json=deposit).status_code == 403
        me.headers["X-Request-Id"] = "a b"
        resumed = me.post("/admin/markets/BTCUSDT/resume", json={})
        assert resumed.headers["X-Request-Id"] not in {"a b", "ticket-42", ""}
    levels = {"levels": ["fatal", "error", "warn", "info"]}
    assert httpx.put(f"{exchange.control}/log/levels", json=levels).is_success
    found = [(entry["action"].rpartition("/")[2], entry["outcome"]) for entry in entries(log)]
    assert found == [
        ("balance-updates", "asked"),
        ("balance-updates", "done"),
        ("balance-updates", "asked"),
        ("balance-updates", "repeat_update"),
        ("halt", "asked"),
        ("halt", "done"),
        ("halt", "asked"),
        ("halt", "invalid_argument"),
        ("resume", "asked"),
        ("resume", "done"),
        ("log levels", "asked"),
        ("log levels", "done"),
    ]
    first = entries(log)[0]
    assert (first["actor"], first["request_id"]) == ("admin", "ticket-42")
    assert first["request"] == deposit
    head = exchange.status()["audit_log"]
    assert head.startswith("12:")
    assert verify(str(log), "--head", head)[0] == 0
    lines = log.read_bytes().splitlines(keepends=True)
    forged = tmp_path / "forged"
    forged.write_bytes(b"".join([*lines[:1], *lines[2:]]))
    code, said = verify(str(forged))
    assert code == 1
    assert "line 2 is entry 3, before which 1 entry is missing" in said
    forged.write_bytes(b"".join(lines[:-2]))
    code, said = verify(str(forged), "--head", head)
    assert code == 1
    assert "entries 11 to 12 are gone from the end" in said
    assert verify(str(log), "--head", "12")[0] == 2


def test_nothing_is_done_that_cannot_be_written_down(exchange: Server, tmp_path: Path) -> None:
    data = tmp_path / "data"
    log = data / "audit"
    with api(exchange, data, "admin") as me:
        assert me.post("/admin/markets/BTCUSDT/halt", json={}).is_success
        log.write_bytes(log.read_bytes().replace(b'"done"', b'"none"'))
        refused = me.post("/admin/markets/BTCUSDT/resume", json={})
        assert refused.status_code == 503
        assert refused.json()["error"]["reason"] == "the audit log cannot be written"
        assert me.get("/admin/state").json()["halted"] == ["BTCUSDT"]
        log.rename(tmp_path / "aside")
        assert me.post("/admin/markets/BTCUSDT/resume", json={}).is_success
        assert me.get("/admin/state").json()["halted"] == []
