"""The methods of the protocol, as the compiled module declares them; nothing is declared twice."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from viabtc import _core

OWNERS: Final = ("matchengine", "marketprice", "readhistory")
"""Services that answer methods."""


OWN_COMMANDS_FIRST: Final = 900
"""RPC numbers from here on are of our own kinds."""


@dataclass(frozen=True, slots=True)
class Param:
    """A positional parameter."""

    name: str
    kind: str
    """Stable name of its type and bounds; `viabtc.contract.openrpc` has the schema of each."""


@dataclass(frozen=True, slots=True)
class Method:
    """One row of the table."""

    name: str
    command: int
    """Number in binary RPC."""
    owner: str
    effect: str
    """`write` is journaled, `read` is not."""
    params: tuple[Param, ...]
    arity: str
    """`exact`, `optional_last`, `repeated_last` (left out or repeated), or `any` (ignored)."""
    result: str
    errors: tuple[tuple[int, str], ...]
    """Codes of its own, with the stable name of the reason; codes 1 to 6 are every method's."""
    summary: str

    @property
    def is_own(self) -> bool:
        """Whether it is of our own kinds: an original has no such method."""
        return self.command >= OWN_COMMANDS_FIRST

    @property
    def count_min(self) -> int:
        """Fewest parameters that are not refused for their number."""
        if self.arity == "any":
            return 0
        return len(self.params) - (self.arity in {"optional_last", "repeated_last"})

    @property
    def count_max(self) -> int | None:
        """Most parameters that are not refused for their number; None without a bound."""
        return None if self.arity in {"any", "repeated_last"} else len(self.params)


def _method(row: Mapping[str, Any]) -> Method:
    params = tuple(Param(name, kind) for name, kind in row["params"])
    errors = tuple((code, reason) for code, reason in row["errors"])
    return Method(**{**row, "params": params, "errors": errors})


METHODS: Final = tuple(_method(row) for row in _core.METHODS)

BY_NAME: Final = {method.name: method for method in METHODS}
