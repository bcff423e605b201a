"""Tokens that connections stand on have one number each, and go with the last connection."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from viabtc.accessws.auth import INVALID_TOKEN, Grant, Verdict
from viabtc.accessws.grants import Grants

if TYPE_CHECKING:
    from viabtc import _core


class Hub:
    """A hub whose connections stand on what a test says."""

    def __init__(self) -> None:
        self.held: set[int] = set()
        self.withdrawn: list[int] = []

    def grants(self) -> list[int]:
        return list(self.held)

    def withdraw(self, grant: int) -> None:
        self.withdrawn.append(grant)


class Authenticator:
    """Knows which tokens ended."""

    def __init__(self) -> None:
        self.ended: set[str] = set()
        self.asked: set[str] = set()

    async def auth(self, token: str) -> Verdict:
        del token
        return INVALID_TOKEN

    async def sign(self, access_id: str, authorisation: str, tonce: int) -> Verdict:
        del access_id, authorisation, tonce
        return INVALID_TOKEN

    async def withdrawn(self, grants: Sequence[Grant]) -> list[Grant]:
        self.asked = {grant.token for grant in grants}
        return [grant for grant in grants if grant.token in self.ended]


def test_what_ended_is_withdrawn_and_what_nothing_stands_on_is_forgotten() -> None:
    hub, authenticator = Hub(), Authenticator()
    grants = Grants(cast("_core.Hub", hub), authenticator, 1.0)
    numbers = {token: grants.number_of(Grant(token, 7)) for token in ("a", "b", "c")}
    assert len(set(numbers.values())) == len(numbers)
    assert grants.number_of(Grant("a", 7)) == numbers["a"]
    assert grants.number_of(Grant("a", 8)) not in numbers.values()
    hub.held = {numbers["a"], numbers["b"]}
    authenticator.ended = {"b", "c"}
    asyncio.run(grants.look())
    assert authenticator.asked == {"a", "b"}
    assert hub.withdrawn == [numbers["b"]]
    hub.held = {numbers["a"]}
    asyncio.run(grants.look())
    assert authenticator.asked == {"a"}
    assert grants.number_of(Grant("b", 7)) not in numbers.values()
