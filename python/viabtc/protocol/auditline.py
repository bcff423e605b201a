"""A log in which each line carries the hash of the one before, and what was done to such a log.

| member | what |
| --- | --- |
| `sequence` | 1 for the first entry ever, one more for each that follows |
| what the caller says | such as `time`, `actor`, `action`, `request`, `outcome` |
| `previous` | the hash of the entry before; of the first, 64 zeros |
| `hash` | SHA-256 of the line up to here, closed with a brace |

A chain shows that lines were changed, removed, added or moved between two that still stand. It
cannot show that its end is gone, nor that everything from some line on was written anew with new
hashes: for that a hash that was noted elsewhere is compared.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

NO_HASH: Final = "0" * 64
"""What the first entry ever follows."""

LINE_BYTES_MAX: Final = 64 * 1024
"""Longest line; who writes one keeps what it tells far below."""

_HEAD: Final = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")
_END: Final = re.compile(rb',"hash":"([0-9a-f]{64})"\}')
_END_BYTES: Final = len(',"hash":""}') + 64


@dataclass(frozen=True, slots=True)
class Head:
    """An entry by its number and hash: all that is before it hangs on it."""

    sequence: int = 0
    hash: str = NO_HASH

    def __str__(self) -> str:
        return f"{self.sequence}:{self.hash}"


@dataclass(frozen=True, slots=True)
class Entry:
    """A line that is as it was written."""

    head: Head
    previous: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a log is found to be."""

    entries: int
    """Lines that are as they were written."""
    end: Head
    """The last of them that stands in its place."""
    findings: Sequence[str]
    """What was done to the log, a sentence each; none when nothing can be seen."""


def write_line(after: Head, fields: Mapping[str, Any]) -> tuple[bytes, Head]:
    """The line of the entry behind `after`, and what the next one follows."""
    entry = {"sequence": after.sequence + 1, **fields, "previous": after.hash}
    body = json.dumps(entry, separators=(",", ":")).encode()
    digest = hashlib.sha256(body).hexdigest()
    return body[:-1] + b',"hash":"%s"}\n' % digest.encode(), Head(after.sequence + 1, digest)


def read_line(line: bytes) -> Entry | None:
    """The entry of a line without its end; None when it is not as it was written."""
    end = _END.fullmatch(line[-_END_BYTES:])
    body = line[:-_END_BYTES] + b"}"
    if end is None or hashlib.sha256(body).hexdigest().encode() != end[1]:
        return None
    try:
        fields = json.loads(body)
        return Entry(Head(fields["sequence"], end[1].decode()), fields["previous"], fields)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def read_head(text: str) -> Head | None:
    """A head as it was shown; None when the text is none."""
    found = _HEAD.fullmatch(text)
    return None if found is None else Head(int(found[1]), found[2])


def verify(lines: Iterable[bytes], noted: Head | None = None) -> Verdict:
    """Says what was done to a log.

    Args:
        lines: With their ends, oldest first.
        noted: A head that was shown or logged elsewhere when it was written.
    """
    check = _Check(noted)
    for number, line in enumerate(lines, 1):
        check.look(number, line)
    return check.verdict()


class _Check:
    """Goes through the lines and remembers what the next one has to follow."""

    def __init__(self, noted: Head | None) -> None:
        self._noted = noted
        self._is_noted_seen = False
        self._entries = 0
        self._end: Head | None = None
        """Of the last entry in its place; none before the first."""
        self._damaged = 0
        """Lines since then that are not as they were written."""
        self._findings: list[str] = []

    def look(self, number: int, line: bytes) -> None:
        """Takes the next line in."""
        entry = read_line(line.removesuffix(b"\n"))
        if not line.endswith(b"\n"):
            self._say(number, "is cut off: by a crash while it was written, or by hand")
        elif entry is None:
            self._damaged += 1
            self._say(number, "was changed or added: its hash does not fit it")
        if entry is not None:
            self._entries += 1
            self._compare_with_note(number, entry)
            self._place(number, entry)

    def verdict(self) -> Verdict:
        """What was found, once every line was looked at."""
        end = self._end or Head()
        noted = self._noted
        if noted is not None and not self._is_noted_seen:
            gone = f"entries {end.sequence + 1} to {noted.sequence} are gone from the end"
            one = f"entry {noted.sequence}, which was noted, is gone"
            self._findings.append(gone if noted.sequence > end.sequence + 1 else one)
        return Verdict(self._entries, end, self._findings)

    def _say(self, number: int, what: str) -> None:
        self._findings.append(f"line {number} {what}")

    def _compare_with_note(self, number: int, entry: Entry) -> None:
        if self._noted is None or entry.head.sequence != self._noted.sequence:
            return
        self._is_noted_seen = True
        if entry.head != self._noted:
            self._say(number, "is another entry than the one that was noted: it was written anew")

    def _place(self, number: int, entry: Entry) -> None:
        sequence = entry.head.sequence
        if self._end is None:
            # Older lines may be kept in another file: the log goes on from there.
            begins_at = max(0, sequence - 1 - self._damaged)
            self._end = Head(begins_at, NO_HASH if begins_at == 0 else entry.previous)
        gap = sequence - self._end.sequence - 1
        if gap < 0:
            self._say(number, f"is entry {sequence} out of its place: it was added or moved")
            return
        if gap > self._damaged:
            missing = gap - self._damaged
            what = "1 entry is" if missing == 1 else f"{missing} entries are"
            self._say(number, f"is entry {sequence}, before which {what} missing: removed or moved")
        elif gap == self._damaged == 0 and entry.previous != self._end.hash:
            self._say(number, "does not follow the line before: one of the two was written anew")
        self._damaged = 0
        self._end = entry.head
