"""Names that clients give their orders, kept as the orders' source.

The source is the one text of an order that all of an exchange carries along: book, messages, tables
of the history, as an original's do. It holds 30 bytes; a UUID, which is longer, is packed.
"""

import base64
import re
import uuid
from typing import Annotated, Final

from pydantic import StringConstraints

from viabtc.rest.words import pattern

SOURCE: Final = "api"
"""Source of orders without a name."""

_NAMED: Final = "api:"
_PACKED: Final = "api-"

_UUID: Final = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_OTHER: Final = "[A-Za-z0-9_.-]{1,26}"

PATTERN: Final = pattern(
    f"^({_OTHER}|{_UUID})$",
    "1 to 26 letters, digits, `_`, `.`, `-`, or a UUID in lower case, such as"
    ' "0d6f1c2e-5b7a-4c1d-9e3f-8a2b4c6d8e0f"',
)

_IS_UUID: Final = re.compile(_UUID)
_IS_PACKED: Final = re.compile("[A-Za-z0-9_-]{22}")

ClientOrderId = Annotated[str, StringConstraints(pattern=PATTERN, max_length=36)]


def source_of(name: str | None) -> str:
    """The source of an order with this name."""
    if name is None:
        return SOURCE
    if _IS_UUID.fullmatch(name):
        packed = base64.urlsafe_b64encode(uuid.UUID(name).bytes).decode()
        return _PACKED + packed.rstrip("=")
    return _NAMED + name


def name_of(source: str | None) -> str | None:
    """The name of an order with this source; None when it has none."""
    if source is None:
        return None
    if source.startswith(_NAMED):
        return source.removeprefix(_NAMED)
    packed = source.removeprefix(_PACKED)
    if source.startswith(_PACKED) and _IS_PACKED.fullmatch(packed):
        return str(uuid.UUID(bytes=base64.urlsafe_b64decode(packed + "==")))
    return None
