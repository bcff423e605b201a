"""What is wrong with a value of a request, and what would be right, in words."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

_SHOWN_MAX: Final = 40
"""Most characters of a value that are shown again."""

PATTERNS: Final[dict[str, str]] = {}
"""What a text of each pattern that the API asks for is."""


def pattern(expression: str, right: str) -> str:
    """A pattern whose texts are `right`: a noun, with an example."""
    PATTERNS[expression] = right
    return expression


Context = Mapping[str, Any]

_RIGHT: Final[dict[str, Callable[[Context], str]]] = {
    "string_pattern_mismatch": lambda ctx: PATTERNS[ctx["pattern"]],
    "string_type": lambda _: 'a text in quotation marks, such as "0.25"',
    "string_unicode": lambda _: "a text without half a character",
    "string_too_short": lambda ctx: _at_least(ctx["min_length"], "character"),
    "string_too_long": lambda ctx: f"at most {ctx['max_length']} characters",
    "int_type": lambda _: "an integer",
    "int_parsing": lambda _: "an integer",
    "int_from_float": lambda _: "an integer",
    "int_parsing_size": lambda _: "an integer of fewer digits",
    "greater_than_equal": lambda ctx: f"{ctx['ge']} or more",
    "less_than_equal": lambda ctx: f"{ctx['le']} or less",
    "literal_error": lambda ctx: ctx["expected"].replace("'", ""),
    "list_type": lambda _: "a list",
    "too_short": lambda ctx: _at_least(ctx["min_length"], "item"),
    "too_long": lambda ctx: f"at most {ctx['max_length']} items",
    "dict_type": lambda _: "an object",
    "model_type": lambda _: "an object",
    "model_attributes_type": lambda _: "an object",
    "bool_type": lambda _: "true or false",
    "bool_parsing": lambda _: "true or false",
}
"""What would be right, by the type of an error of pydantic."""


def said(error: Mapping[str, Any]) -> str:
    """One of pydantic's errors as `price: is "1e3"; right would be a decimal number ...`."""
    names = ".".join(str(part) for part in error["loc"][1:]) or str(error["loc"][0])
    # Members that are not known have names of the client's choice.
    where = _cut(names)
    kind = error["type"]
    if kind == "missing":
        return f"{where}: is missing"
    if kind == "extra_forbidden":
        return f"{where}: is not known here; leave it out"
    if kind == "json_invalid":
        return f"{where}: is no JSON document: {error['ctx']['error']}"
    right = _RIGHT.get(kind)
    if right is None:
        return f"{where}: {error['msg']}"
    return f"{where}: is {_shown(error['input'])}; right would be {right(error.get('ctx', {}))}"


def _at_least(count: int, what: str) -> str:
    return f"at least {count} {what}" + ("s" if count > 1 else "")


def _shown(value: object) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    try:
        # In ASCII: a value may hold half a character, which no answer could be sent with.
        shown = json.dumps(text)
    except (TypeError, ValueError, RecursionError):
        return f"a {type(value).__name__}"
    return _cut(shown)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}..."
