"""What open connections stand on: tokens that are looked at again and again, signatures that age.

No connection outlives its token. A signature is shown once and cannot be asked about again, since a
site that heeds `tonce` refuses it the second time: what stands on one ends at an age, and whoever
was not locked out meanwhile signs again.
"""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from viabtc import _core
from viabtc.accessws.auth import Authenticator, Grant

_NUMBER_MAX: Final = 2**32 - 1

LOOK_S: Final = 1.0
"""Longest pause between two looks at what signatures have become too old."""


class Grants:
    """Those of one hub.

    Args:
        recheck_s: Pause between two looks at the tokens; 0 looks never.
        signed_s: How long a connection may stand on one signature; 0 for ever.
        now_s: Seconds of a clock that is never set.
    """

    def __init__(
        self,
        hub: _core.Hub,
        authenticator: Authenticator,
        recheck_s: float,
        signed_s: float = 0,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hub = hub
        self._authenticator = authenticator
        self._recheck_s = recheck_s
        self._signed_s = signed_s
        self._now_s = now_s
        self._ends_s: dict[int, float] = {}
        """When signatures become too old, by their numbers."""
        self._by_number: dict[int, Grant] = {}
        self._numbers: dict[Grant, int] = {}
        self._number = 0

    def number_of(self, grant: Grant) -> int:
        """The number that the hub knows a grant by; 0 when tokens are not looked at."""
        if not self._recheck_s:
            return 0
        number = self._numbers.get(grant)
        if number is None:
            number = self._next()
            self._by_number[number] = grant
            self._numbers[grant] = number
        return number

    def number_of_signature(self) -> int:
        """The number of a signature that was just taken; 0 when none becomes too old."""
        if not self._signed_s:
            return 0
        number = self._next()
        self._ends_s[number] = self._now_s() + self._signed_s
        return number

    def works(self) -> list[Coroutine[Any, Any, None]]:
        """What has to run."""
        works = []
        if self._recheck_s:
            works.append(_again(self._recheck_s, self.look))
        if self._signed_s:
            works.append(_again(min(self._signed_s, LOOK_S), self.end_signatures))
        return works

    async def end_signatures(self) -> None:
        """Closes what stands on a signature that is too old; forgets what nothing stands on."""
        now_s, held = self._now_s(), set(self._hub.grants())
        for number in [number for number, end_s in self._ends_s.items() if end_s <= now_s]:
            self._hub.withdraw(number)
            del self._ends_s[number]
        for number in self._ends_s.keys() - held:
            del self._ends_s[number]

    def _next(self) -> int:
        self._number = self._number % _NUMBER_MAX + 1
        return self._number

    async def look(self) -> None:
        """Closes what stands on a token that counts no more; forgets what nothing stands on."""
        held = set(self._hub.grants())
        for number in self._by_number.keys() - held:
            del self._numbers[self._by_number.pop(number)]
        # In another order each time: a few that are never answered must not hide the others.
        grants = random.sample(list(self._numbers), len(self._numbers))
        for grant in await self._authenticator.withdrawn(grants):
            self._hub.withdraw(self._numbers[grant])


async def _again(interval_s: float, look: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Looks until it is cancelled."""
    while True:
        await asyncio.sleep(interval_s)
        await look()
