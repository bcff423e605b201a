"""The operator line: split like a shell line. Source: ut_cli.c."""

from typing import Final

LINE_BYTES_MAX: Final = 4096
"""A longer line without an end closes the connection."""

_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "a": "\a"}
_HEX_DIGITS: Final = 2
"""Of the escape `\\xHH`."""

_BLANKS: Final = " \t\n\r\v\f\0"


def split_line(line: str) -> list[str] | None:
    """The words of a line; None for unbalanced quotes or text right behind a closing quote."""
    words: list[str] = []
    rest = line
    while rest := rest.lstrip(_BLANKS):
        word, rest = _word(rest)
        if word is None:
            return None
        words.append(word)
    return words


def _word(text: str) -> tuple[str | None, str]:
    out: list[str] = []
    at = 0
    while at < len(text) and text[at] not in _BLANKS:
        quote = text[at]
        if quote not in "\"'":
            out.append(quote)
            at += 1
            continue
        piece, end = _quoted(text, at + 1, quote)
        if piece is None or (end < len(text) and text[end] not in _BLANKS):
            return None, ""
        out.append(piece)
        at = end
    return "".join(out), text[at:]


def _quoted(text: str, at: int, quote: str) -> tuple[str | None, int]:
    """The content up to the closing quote, and the place behind it."""
    out: list[str] = []
    while at < len(text):
        character = text[at]
        if character == quote:
            return "".join(out), at + 1
        if character != "\\":
            out.append(character)
            at += 1
        elif quote == "'":
            is_escape = text[at + 1 : at + 2] == "'"
            out.append("'" if is_escape else "\\")
            at += 2 if is_escape else 1
        else:
            piece, at = _escape(text, at + 1)
            out.append(piece)
    return None, at


def _escape(text: str, at: int) -> tuple[str, int]:
    letter = text[at : at + 1]
    digits = text[at + 1 : at + 1 + _HEX_DIGITS]
    if (
        letter == "x"
        and len(digits) == _HEX_DIGITS
        and all(digit in "0123456789abcdefABCDEF" for digit in digits)
    ):
        return chr(int(digits, 16)), at + 1 + _HEX_DIGITS
    return _ESCAPES.get(letter, letter), at + 1


def read_number(text: str) -> int:
    """A number as C's base-0 parser reads it: decimal, 0x hexadecimal, leading 0 octal; else 0."""
    text = text.strip(_BLANKS)
    sign = -1 if text.startswith("-") else 1
    text = text.lstrip("+-").lower()
    base, digits = 10, text
    if text.startswith("0x"):
        base, digits = 16, text[2:]
    elif text.startswith("0"):
        base = 8
    valid = "0123456789abcdef"[:base]
    end = next((at for at, digit in enumerate(digits) if digit not in valid), len(digits))
    return sign * int(digits[:end] or "0", base)
