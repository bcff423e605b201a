"""What administrators did: a file of chained lines, synced before anything is done or answered.

Each action has two entries, one before it is done (`asked`) and one with its outcome, joined by the
request's id: nothing is done that could not be written down first. Several processes may write to
one file. At `BYTES_MAX` the file is put aside under the number of its last entry, and the next one
goes on from its hash; nothing here removes a file.
"""

import asyncio
import json
import os
import time
from collections.abc import Sequence
from contextvars import Context
from pathlib import Path
from typing import Any, Final

from structlog.contextvars import get_contextvars

from viabtc.protocol.auditline import LINE_BYTES_MAX, Head, read_line, write_line
from viabtc.service.failure import StartFailure
from viabtc.service.private import MODE, check_private, locked, sync_folder, write_fresh

BYTES_MAX: Final = 64 << 20
"""Size at which a file is put aside."""

WAITING_MAX: Final = 10_000
"""Most entries that wait for the disk."""

REQUEST_CHARACTERS_MAX: Final = 4_096
"""Most of a request that an entry holds; of a longer one it says so."""

ASKED: Final = "asked"
"""Outcome of an entry that is written before the action."""

DONE: Final = "done"
"""Outcome of what took effect; others are codes of errors."""


class AuditLogError(Exception):
    """An entry could not be written; what it is about must not be done."""


class AuditLog:
    """Adds entries to a file; `open_audit_log` makes one."""

    def __init__(self, path: Path, log: Any) -> None:
        self._path = path
        self._log = log
        self._waiting: list[tuple[dict[str, Any], asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def write(self, actor: str, action: str, request: object, outcome: str) -> None:
        """Adds an entry; returns when it is on disk. Entries that come together share a sync.

        Raises:
            AuditLogError: it cannot be written.
        """
        if len(self._waiting) >= WAITING_MAX:
            raise AuditLogError("too many entries wait for the disk")
        entry = {
            "time": time.time_ns() // 1_000,
            "actor": actor,
            "action": action,
            "request": _bounded(request),
            "outcome": outcome,
            "request_id": get_contextvars().get("request_id"),
        }
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, written))
        if self._writing is None or self._writing.done():
            # It writes for many requests, and is not about any one of them.
            self._writing = asyncio.create_task(self._write_waiting(), context=Context())
        await written

    def head(self) -> Head:
        """The last entry.

        Raises:
            AuditLogError: the file's end is not as it was written.
        """
        try:
            with self._path.open("rb") as file:
                return _read_end(file.fileno())[0]
        except FileNotFoundError:
            return Head()
        except OSError as error:
            raise AuditLogError(f"{self._path}: {error.strerror}") from error

    def state(self) -> str:
        """The last entry, or what is wrong, for the operator."""
        try:
            return str(self.head())
        except AuditLogError as error:
            return f"CANNOT BE WRITTEN: {error}"

    async def _write_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            error = None
            try:
                head = await asyncio.to_thread(self._append, [entry for entry, _ in batch])
                # The head stands in the service's log too: the file's end cannot vanish unseen.
                self._log.info("audit log", head=str(head), vip=True)
            except OSError as failure:
                error = AuditLogError(f"{self._path}: {failure.strerror}")
            except AuditLogError as failure:
                error = failure
            if error is not None:
                self._log.error("administration is refused: no audit log", reason=str(error))
            for _, written in batch:
                if written.cancelled():
                    continue
                if error is None:
                    written.set_result(None)
                else:
                    written.set_exception(error)

    def _append(self, entries: Sequence[dict[str, Any]]) -> Head:
        with locked(self._path):
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, MODE)
            try:
                head, whole_bytes = _read_end(fd)
                if os.fstat(fd).st_size != whole_bytes:
                    # A crash left a piece of a line, which nobody was told to be written.
                    os.ftruncate(fd, whole_bytes)
                lines = bytearray()
                for entry in entries:
                    line, head = write_line(head, entry)
                    lines += line
                _write(fd, bytes(lines))
                os.fdatasync(fd)
            finally:
                os.close(fd)
            if whole_bytes == 0:
                sync_folder(self._path.parent)
            if whole_bytes + len(lines) > BYTES_MAX:
                self._put_aside(head)
        return head

    def _put_aside(self, head: Head) -> None:
        """Begins a new file; its first line is the last one of the old, which it goes on from."""
        aside = self._path.with_name(f"{self._path.name}.{head.sequence}")
        last = _last_line(self._path)
        fresh = write_fresh(self._path, last)
        os.link(self._path, aside)
        fresh.replace(self._path)
        sync_folder(self._path.parent)


def open_audit_log(path: Path, log: Any) -> AuditLog:
    """The audit log in `path`, which is made with its first entry.

    Raises:
        StartFailure: others may read or write it, or its end is not as it was written.
    """
    audit = AuditLog(path, log)
    advice = "name a file that this service may use as viabtc.audit_log"
    check_private(path, "the audit log", advice)
    try:
        audit.head()
    except AuditLogError as error:
        raise StartFailure(
            str(error), f"run: viabtc audit-log verify {path}; then move the file aside"
        ) from error
    return audit


def read_request(body: bytes) -> object:
    """A request's body as an entry shows it."""
    try:
        return json.loads(body) if body else None
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")


def _bounded(request: object) -> object:
    text = json.dumps(request)
    if len(text) <= REQUEST_CHARACTERS_MAX:
        return request
    return {"cut": text[:REQUEST_CHARACTERS_MAX], "characters": len(text)}


def _read_end(fd: int) -> tuple[Head, int]:
    """The last entry, and how many bytes whole lines take.

    Raises:
        AuditLogError: the last whole line is not as it was written.
    """
    size = os.fstat(fd).st_size
    start = max(0, size - 2 * LINE_BYTES_MAX)
    tail = os.pread(fd, size - start, start)
    whole = tail[: tail.rfind(b"\n") + 1]
    if not whole and start == 0:
        return Head(), 0
    entry = read_line(whole[:-1].rpartition(b"\n")[2])
    if entry is None:
        raise AuditLogError("the last line of the audit log is not as it was written")
    return entry.head, start + len(whole)


def _last_line(path: Path) -> bytes:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - LINE_BYTES_MAX))
        return file.read()[:-1].rpartition(b"\n")[2] + b"\n"


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
