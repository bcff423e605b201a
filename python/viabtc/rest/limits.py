"""How often a user may place orders."""

import time
from dataclasses import dataclass
from typing import Final

from viabtc.rest.errors import ApiError

USERS_MAX: Final = 65_536
"""Most users whose pace is remembered at once."""

_NS: Final = 1_000_000_000
_MS_NS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a user may place orders. Cancels are never held up."""

    orders_per_s: int = 50
    """In the long run; 0 for no bound."""
    orders_burst: int = 200
    """At once, after a pause."""


class OrderPace:
    """Holds users to a pace: each has a bucket of `orders_burst`, which fills at `orders_per_s`."""

    def __init__(self, pace: Pace, users_max: int = USERS_MAX) -> None:
        self._pace = pace
        self._users_max = users_max
        self._full_at: dict[int, int] = {}
        """When a user's bucket is full again, in monotonic nanoseconds; who asked last is last."""

    def take(self, user: int, now_ns: int | None = None) -> None:
        """Takes one order from the user's bucket.

        Raises:
            ApiError: it is empty; with the milliseconds until there is one.
        """
        if not self._pace.orders_per_s:
            return
        now = time.monotonic_ns() if now_ns is None else now_ns
        each = _NS // self._pace.orders_per_s
        full_at = max(now, self._full_at.get(user, 0)) + each
        early = full_at - now - each * self._pace.orders_burst
        if early > 0:
            raise ApiError(
                "too_many_orders",
                orders_per_s=self._pace.orders_per_s,
                retry_after_ms=-(-early // _MS_NS),
            )
        self._full_at.pop(user, None)
        self._full_at[user] = full_at
        if len(self._full_at) > self._users_max:
            # Who asked longest ago is nearest to a full bucket.
            del self._full_at[next(iter(self._full_at))]
