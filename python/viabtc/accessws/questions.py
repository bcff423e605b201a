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


UNUSABLE: Final = (ValueError, TypeError, LookupError, ArithmeticError, RecursionError)
"""What an answer may raise that is not what its method says: not JSON, not of the form."""


class Questions:
    """Those of one hub.

    Args:
        log: Where answers are told that nobody can use.
    """

    def __init__(self, hub: _core.Hub, log: Any) -> None:
        self.figures = {"unusable_total": 0}
        self._hub = hub
        self._log = log
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
        if then is None:
            return
        reply = None
        if body is not None:
            try:
                reply = msgspec.json.decode(one_line(body), type=Reply)
            except UNUSABLE as error:
                self.complain("an answer", error)
        then(reply)

    def complain(self, what: str, error: Exception) -> None:
        """Tells of something that a service said and nobody can use: it counts as not said."""
        self.figures["unusable_total"] += 1
        self._log.error("an answer cannot be used", topic=what, reason=str(error))
