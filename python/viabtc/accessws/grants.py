"""Tokens that open connections stand on: looked at again and again, so that none outlives it."""

import asyncio
import random
from typing import Final

from viabtc import _core
from viabtc.accessws.auth import Authenticator, Grant

_NUMBER_MAX: Final = 2**32 - 1


class Grants:
    """Those of one hub.

    Args:
        interval_s: Pause between two looks.
    """

    def __init__(self, hub: _core.Hub, authenticator: Authenticator, interval_s: float) -> None:
        self._hub = hub
        self._authenticator = authenticator
        self._interval_s = interval_s
        self._by_number: dict[int, Grant] = {}
        self._numbers: dict[Grant, int] = {}
        self._number = 0

    def number_of(self, grant: Grant) -> int:
        """The number that the hub knows a grant by."""
        number = self._numbers.get(grant)
        if number is None:
            self._number = number = self._number % _NUMBER_MAX + 1
            self._by_number[number] = grant
            self._numbers[grant] = number
        return number

    async def run(self) -> None:
        """Looks until it is cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)
            await self.look()

    async def look(self) -> None:
        """Closes what stands on a token that counts no more; forgets what nothing stands on."""
        held = set(self._hub.grants())
        for number in self._by_number.keys() - held:
            del self._numbers[self._by_number.pop(number)]
        # In another order each time: a few that are never answered must not hide the others.
        grants = random.sample(list(self._numbers), len(self._numbers))
        for grant in await self._authenticator.withdrawn(grants):
            self._hub.withdraw(self._numbers[grant])
