"""A chain of lines says what was done to it."""

import json

import pytest

from viabtc.protocol.auditline import Head, read_head, read_line, verify, write_line


def chain(count: int, after: Head | None = None) -> list[bytes]:
    head, lines = after or Head(), []
    for number in range(count):
        line, head = write_line(head, {"actor": "admin", "action": f"do {number}"})
        lines.append(line)
    return lines


LINES = chain(9)
END = f"9:{json.loads(LINES[-1])['hash']}"


def findings(lines: list[bytes], head: str = "") -> list[str]:
    return list(verify(lines, read_head(head)).findings)


def test_a_log_as_it_was_written_has_no_findings() -> None:
    verdict = verify(LINES, read_head(END))
    assert (verdict.entries, str(verdict.end), verdict.findings) == (9, END, [])
    assert findings(LINES[4:]) == [], "an older file is kept elsewhere"
    assert findings([]) == []
    entry = read_line(LINES[2][:-1])
    assert entry is not None
    assert entry.fields["action"] == "do 2"


@pytest.mark.parametrize("place", range(9))
def test_every_changed_byte_of_a_line_names_the_line(place: int) -> None:
    line = LINES[place]
    for index in range(len(line) - 1):
        other = bytes([line[index] ^ 1])
        changed = [*LINES[:place], line[:index] + other + line[index + 1 :], *LINES[place + 1 :]]
        (said,) = findings(changed)
        assert said == f"line {place + 1} was changed or added: its hash does not fit it"


@pytest.mark.parametrize("place", range(8))
def test_a_removed_line_is_missed(place: int) -> None:
    left = [*LINES[:place], *LINES[place + 1 :]]
    said = findings(left, END)
    if place == 0:
        # What is before the first line may stand in an older file.
        assert said == []
        assert str(verify(left).end) == END
    else:
        number = place + 1
        expected = f"line {number} is entry {place + 2}, before which 1 entry is missing: removed"
        assert said == [f"{expected} or moved"]


@pytest.mark.parametrize("place", range(8))
def test_neighbours_that_change_places_are_named(place: int) -> None:
    swapped = [*LINES]
    swapped[place : place + 2] = reversed(swapped[place : place + 2])
    moved = f"line {place + 2} is entry {place + 1} out of its place: it was added or moved"
    assert moved in findings(swapped)


@pytest.mark.parametrize("place", range(9))
def test_an_added_line_is_named_with_whatever_hash(place: int) -> None:
    before = Head() if place == 0 else Head(place, json.loads(LINES[place - 1])["hash"])
    for added in (b"anything\n", b"\n", LINES[0], chain(1, before)[0].replace(b"do 0", b"do x")):
        assert findings([*LINES[:place], added, *LINES[place:]]), added
    forged, _ = write_line(before, {"actor": "nobody"})
    said = findings([*LINES[:place], forged, *LINES[place:]])
    assert any(f"line {place + 2} " in one for one in said)


@pytest.mark.parametrize("place", range(1, 9))
def test_a_line_written_anew_with_a_right_hash_breaks_the_next_one(place: int) -> None:
    before = Head() if place == 1 else Head(place - 1, json.loads(LINES[place - 2])["hash"])
    forged, _ = write_line(before, {"actor": "nobody"})
    said = findings([*LINES[: place - 1], forged, *LINES[place:]])
    assert said == [
        f"line {place + 1} does not follow the line before: one of the two was written anew"
    ]


@pytest.mark.parametrize("left", range(9))
def test_a_missing_end_shows_against_a_head_noted_elsewhere_and_only_there(left: int) -> None:
    assert findings(LINES[:left]) == [], "a chain alone cannot know how long it was"
    (said,) = findings(LINES[:left], END)
    assert "gone" in said


def test_a_log_written_anew_shows_against_a_head_noted_elsewhere_and_only_there() -> None:
    other, head = [], Head()
    for _ in range(12):
        line, head = write_line(head, {"actor": "nobody"})
        other.append(line)
    assert findings(other) == []
    assert findings(other, END) == [
        "line 9 is another entry than the one that was noted: it was written anew"
    ]


def test_a_line_that_is_cut_off_is_said_to_be() -> None:
    (said,) = findings([*LINES[:-1], LINES[-1][:40]])
    assert said == "line 9 is cut off: by a crash while it was written, or by hand"


@pytest.mark.parametrize("text", ["", "1", "0:" + "0" * 64, "1:" + "g" * 64, "1:" + "0" * 63, "x:"])
def test_what_is_no_head_is_none(text: str) -> None:
    assert read_head(text) is None
