"""The file of the audit log: chained over restarts and processes, bounded, never guessed over."""

import asyncio
import json
import stat
from pathlib import Path

import pytest
import structlog
from structlog.contextvars import bound_contextvars

from viabtc.protocol.auditline import verify
from viabtc.service import auditlog
from viabtc.service.auditlog import ASKED, DONE, AuditLogError, open_audit_log
from viabtc.service.failure import StartFailure

LOG = structlog.get_logger()


def write(path: Path, *requests: object) -> None:
    """Adds an entry for each request, all at once, as a process that starts."""

    async def all_of_them() -> None:
        audit = open_audit_log(path, LOG)
        entries = (audit.write("admin", "POST /x", request, ASKED) for request in requests)
        await asyncio.gather(*entries)

    asyncio.run(all_of_them())


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def entries(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_entries_follow_each_other_over_restarts_for_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    write(path, {"a": 1}, {"a": 2})
    with bound_contextvars(request_id="abc"):
        write(path, {"a": 3})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry["request"] for entry in entries(path)] == [{"a": 1}, {"a": 2}, {"a": 3}]
    assert [entry["request_id"] for entry in entries(path)] == [None, None, "abc"]
    verdict = verify(lines(path))
    assert verdict.findings == []
    assert str(open_audit_log(path, LOG).head()) == str(verdict.end)


def test_writers_of_one_file_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "audit"

    async def both() -> None:
        logs = [open_audit_log(path, LOG) for _ in range(3)]
        for number in range(20):
            await asyncio.gather(*(log.write("admin", "do", number, DONE) for log in logs))

    asyncio.run(both())
    verdict = verify(lines(path))
    assert (verdict.entries, verdict.findings) == (60, [])


def test_a_piece_of_a_line_that_a_crash_left_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    write(path, 1, 2)
    whole = path.read_bytes()
    for piece in (whole[:1], whole[:100]):
        path.write_bytes(whole + piece)
        write(path, 3)
        verdict = verify(lines(path))
        assert (verdict.entries, verdict.findings) == (3, [])
    path.write_bytes(whole[:50])
    write(path, 1)
    assert verify(lines(path)).entries == 1


def test_nothing_is_added_behind_a_line_that_was_changed(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    write(path, 1)
    audit = open_audit_log(path, LOG)
    path.write_bytes(path.read_bytes().replace(b"admin", b"nobod"))
    with pytest.raises(AuditLogError, match="not as it was written"):
        asyncio.run(audit.write("admin", "do", 2, ASKED))
    with pytest.raises(StartFailure, match="viabtc audit-log verify"):
        open_audit_log(path, LOG)


def test_a_file_that_cannot_be_looked_at_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(StartFailure, match="cannot use the audit log"):
        open_audit_log(tmp_path / ("x" * 300), LOG)


def test_a_file_that_others_can_use_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    write(path, 1)
    path.chmod(0o640)
    with pytest.raises(StartFailure, match="can be used by others"):
        open_audit_log(path, LOG)


def test_a_folder_that_is_gone_is_an_error_of_each_entry(tmp_path: Path) -> None:
    audit = open_audit_log(tmp_path / "gone" / "audit", LOG)
    with pytest.raises(AuditLogError, match="No such file"):
        asyncio.run(audit.write("admin", "do", 1, ASKED))


def test_a_long_request_is_cut_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    write(path, "\u00e9" * 60_000)
    (entry,) = entries(path)
    assert entry["request"] == {"cut": '"' + "\\u00e9" * 682 + "\\u0", "characters": 360_002}
    assert verify(lines(path)).findings == []


def test_a_file_that_has_grown_is_put_aside_and_gone_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditlog, "BYTES_MAX", 2_000)
    path = tmp_path / "audit"
    for number in range(40):
        write(path, number)
    aside = sorted(
        (file for file in tmp_path.iterdir() if file.suffix[1:].isdecimal()),
        key=lambda file: int(file.suffix[1:]),
    )
    assert len(aside) >= 3
    found: dict[bytes, None] = {}
    for file in (*aside, path):
        assert file.stat().st_size < 4_000
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert verify(lines(file)).findings == []
        found |= dict.fromkeys(lines(file))
    assert verify(found).entries == 40
    assert verify(found).findings == []
