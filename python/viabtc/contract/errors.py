"""Error codes: those that every method shares, and the reasons that methods add.

A reason's stable name is its identity; its number depends on the method.
"""

from enum import IntEnum
from typing import Final

from viabtc.contract.methods import Method


class ErrorCode(IntEnum):
    """Codes that every method shares."""

    INVALID_ARGUMENT = 1
    INTERNAL_ERROR = 2
    SERVICE_UNAVAILABLE = 3
    METHOD_NOT_FOUND = 4
    SERVICE_TIMEOUT = 5
    REQUIRE_AUTHENTICATION = 6

    @property
    def message(self) -> str:
        """Text beside the code."""
        return self.name.replace("_", " ").lower()


REASONS: Final = {
    "repeat_update": "repeat update",
    "balance_not_enough": "balance not enough",
    "amount_too_small": "amount too small",
    "no_enough_trader": "no enough trader",
    "order_not_found": "order not found",
    "user_not_match": "user not match",
    "market_halted": "market halted",
    "name_taken": "name taken",
    "unchanged": "nothing to change",
    "not_possible": "not possible",
    "repeat_order": "repeat order",
}
"""Stable name of each reason to its message on the wire.

Methods of our own kinds append a colon and what stands in the way.
"""


def codes(method: Method) -> dict[int, str]:
    """Every code that `method` can answer with, and its message."""
    shared = {int(code): code.message for code in ErrorCode}
    return shared | {code: REASONS[reason] for code, reason in method.errors}
