"""Questions to the hub's backends, each with what is done with its answer."""

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from viabtc import _core

_TAG_MAX: Final = 2**31 - 1


class Reply(msgspec.Struct):
    """What a backend answers."""

    error: dict[str, Any] | None
    result: msgspec.Raw


Then = Callable[[Reply | None], None]
"""Gets the reply, or None when there was none in time."""


_LAID_OUT: Final = re.compile(rb"(,)?\n *")


def one_line(body: bytes) -> bytes:
    """An answer as it is without a service's `debug`: what is pushed stands on one line.

    Inside a text there is no line feed that is not escaped, so only the layout changes.
    """
    return _LAID_OUT.sub(lambda found: b", " if found[1] else b"", body)


class Questions:
    """Those of one hub."""

    def __init__(self, hub: _core.Hub) -> None:
        self._hub = hub
        self._waiting: dict[int, Then] = {}
        self._tag = 0

    def ask(self, method: str, params: bytes, then: Then) -> int:
        """Asks; the question's tag."""
        self._tag = self._tag % _TAG_MAX + 1
        self._waiting[self._tag] = then
        self._hub.ask(self._tag, method, params)
        return self._tag

    def forget(self, tag: int) -> None:
        """Does nothing with the answer."""
        self._waiting.pop(tag, None)

    def answered(self, tag: int, body: bytes | None) -> None:
        """An answer came, or the time for it is over."""
        then = self._waiting.pop(tag, None)
        if then is not None:
            then(None if body is None else msgspec.json.decode(one_line(body), type=Reply))
