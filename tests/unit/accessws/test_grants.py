"""Tokens that connections stand on have one number each; signatures have their own, and age."""

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


def test_a_signature_ends_at_its_age_whatever_stands_on_others() -> None:
    hub, seconds = Hub(), [100.0]
    grants = Grants(cast("_core.Hub", hub), Authenticator(), 0, 30, now_s=lambda: seconds[0])
    assert grants.number_of(Grant("a", 7)) == 0, "tokens are not looked at here"
    first = grants.number_of_signature()
    seconds[0] = 120.0
    second, gone = grants.number_of_signature(), grants.number_of_signature()
    assert len({0, first, second, gone}) == 4
    hub.held = {first, second}
    for now, ended in ((129.9, []), (130.0, [first]), (149.9, [first]), (150.0, [first, second])):
        seconds[0] = now
        asyncio.run(grants.end_signatures())
        assert hub.withdrawn == ended, now


def test_without_an_age_signatures_stand_for_ever() -> None:
    grants = Grants(cast("_core.Hub", Hub()), Authenticator(), 1.0)
    assert grants.number_of_signature() == 0
    works = grants.works()
    for work in works:
        work.close()
    assert len(works) == 1
