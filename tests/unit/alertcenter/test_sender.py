"""The sender: a way that fails keeps no other waiting, and nothing is cut before all have sent."""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import pytest
from redis.exceptions import TimeoutError as RedisTimeoutError
from structlog.testing import CapturingLogger

from viabtc.alertcenter import sender
from viabtc.alertcenter.sender import Sender, Way
from viabtc.alertcenter.settings import SenderSettings

if TYPE_CHECKING:
    from redis.asyncio import Redis

DEADLINE_S = 20.0


class FakeRedis:
    """A list; the answer to a cut can be lost."""

    def __init__(self) -> None:
        self.list: list[bytes] = []
        self.loses_answers = False

    async def lrange(self, _: str, start: int, end: int) -> list[bytes]:
        return self.list[start : end + 1]

    async def ltrim(self, _: str, start: int, end: int) -> None:
        assert end == -1
        del self.list[:start]
        if self.loses_answers:
            self.loses_answers = False
            raise RedisTimeoutError("no answer")


class Told:
    """A way that keeps what it was told, or fails."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.fails = False

    async def send(self, _: str, text: str) -> None:
        if self.fails:
            raise OSError("away")
        self.texts += text.splitlines()


def sent(
    monkeypatch: pytest.MonkeyPatch,
    redis: FakeRedis,
    ways: dict[str, Told],
    act: Callable[[], Any],
) -> None:
    """Runs a sender with these ways while `act` goes on."""
    monkeypatch.setattr(sender, "_LOOK_S", 0.0)
    settings = SenderSettings(None, "", (), 0.0, (), "")

    class Here(Sender):
        """Sends to the test."""

        def _ways(self) -> dict[str, Way]:
            return {name: way.send for name, way in ways.items()}

    async def run() -> None:
        task = asyncio.create_task(Here(settings, cast("Redis", redis), CapturingLogger()).run())
        await act()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


async def until(is_so: Callable[[], object]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < end, "did not come true"
        await asyncio.sleep(0.002)


def test_a_way_that_fails_keeps_no_other_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    redis, mail, hook = FakeRedis(), Told(), Told()

    async def act() -> None:
        mail.fails = True
        redis.list.append(b"one")
        await until(lambda: hook.texts == ["1 x one"])
        redis.list.append(b"two")
        await until(lambda: hook.texts == ["1 x one", "1 x two"])
        assert redis.list == [b"one", b"two"]
        mail.fails = False
        await until(lambda: not redis.list)

    sent(monkeypatch, redis, {"mail": mail, "hook": hook}, act)
    assert mail.texts == ["1 x one", "1 x two"]
    assert hook.texts == ["1 x one", "1 x two"]


def test_a_cut_whose_answer_is_lost_loses_no_alert(monkeypatch: pytest.MonkeyPatch) -> None:
    redis, way = FakeRedis(), Told()

    async def act() -> None:
        redis.loses_answers = True
        redis.list.append(b"one")
        await until(lambda: not redis.list)
        redis.list.append(b"two")
        await until(lambda: "1 x two" in way.texts)
        await until(lambda: not redis.list)

    sent(monkeypatch, redis, {"way": way}, act)
    assert way.texts == ["1 x one", "1 x two"]
