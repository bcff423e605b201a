"""The operator line is split as the original splits it."""

import pytest

from viabtc.protocol.console import read_number, split_line


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        (" \t\r\n", []),
        ("balance get 1\r\n", ["balance", "get", "1"]),
        ('a "b c" d', ["a", "b c", "d"]),
        (r'"\n\r\t\x41\"\q"', ['\n\r\tA"q']),
        (r"'it\'s' '\n'", ["it's", "\\n"]),
        ('"open', None),
        ("'open", None),
        ('"a"b', None),
        ('a"b"', ["ab"]),
    ],
)
def test_lines_are_split_like_a_shells(line: str, words: list[str] | None) -> None:
    assert split_line(line) == words


@pytest.mark.parametrize(
    ("text", "number"),
    [("12", 12), ("0x1F", 31), ("010", 8), ("-3", -3), ("12ab", 12), ("x", 0), ("", 0), ("09", 0)],
)
def test_numbers_are_read_as_c_reads_them(text: str, number: int) -> None:
    assert read_number(text) == number
