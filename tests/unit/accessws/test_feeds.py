"""A feed outlives every answer that it can get."""

import asyncio
import json
from typing import TYPE_CHECKING, Any, cast

import pytest
import structlog
import uvloop

from viabtc.accessws.feeds import Feeds
from viabtc.accessws.questions import Questions
from viabtc.accessws.sources import Paces

if TYPE_CHECKING:
    from viabtc import _core

ODD = {
    "not JSON": b"<html>",
    "not UTF-8": b'{"error": null, "result": "\xff", "id": 0}',
    "nested deeply": b'{"error": null, "result": ' + b"[" * 60_000,
    "no reply": b"[]",
    "null": b'{"error": null, "result": null, "id": 0}',
    "a number": b'{"error": null, "result": 5, "id": 0}',
    "no number": b'{"error": null, "result": "x", "id": 0}',
    "an empty object": b'{"error": null, "result": {}, "id": 0}',
    "a list of numbers": b'{"error": null, "result": [1], "id": 0}',
    "a list of objects": b'{"error": null, "result": [{}], "id": 0}',
    "ids that are none": b'{"error": null, "result": [{"id": -1}], "id": 0}',
    "no levels": b'{"error": null, "result": {"asks": [["x", 1]], "bids": [5]}, "id": 0}',
}

GOOD: dict[str, Any] = {
    "price X": "100",
    "depth 5 0 X": {"asks": [["1", "2"]], "bids": []},
    "deals X": [{"id": 5}],
    "v1 book:X": {"asks": [["1", "2"]], "bids": []},
    "v1 trades:X": [{"id": 5}],
    "v1 orders:X 7": {"records": [{"id": 5}]},
}


class Hub:
    """A hub that keeps what it is asked and told."""

    def __init__(self) -> None:
        self.tag = 0
        self.asked = asyncio.Event()
        self.told: set[str] = set()

    def ask(self, tag: int, _method: str, _params: bytes) -> None:
        self.tag = tag
        self.asked.set()

    def heed(self, _words: list[str]) -> None:
        """Every change is heard."""

    def publish(
        self, states: list[tuple[str, bytes, bytes | None]], *, whole: bool = False
    ) -> None:
        del whole
        self.told |= {topic for topic, _, _ in states}

    def extend(
        self,
        topic: str,
        _head: bytes,
        _tail: bytes,
        members: list[tuple[int, bytes]],
        *,
        whole: bool,
    ) -> None:
        del whole
        # As the compiled one.
        if any(number < 0 for number, _ in members):
            message = "out of range"
            raise OverflowError(message)
        self.told.add(topic)

    def step(self, topic: str, *_: Any, conflated: bool) -> None:
        del conflated
        self.told.add(topic)


@pytest.mark.parametrize("topic", GOOD)
def test_what_cannot_be_used_counts_as_not_said(
    topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("viabtc.accessws.feeds._RETRY_S", 0.0)

    async def run() -> None:
        hub = Hub()
        core = cast("_core.Hub", hub)
        questions = Questions(core, structlog.get_logger())
        feeds = Feeds(core, questions, Paces(), is_polling=True)
        feeds.watched(topic)
        for body in ODD.values():
            # Whatever it is, the feed asks again: at once, since the pause is none here.
            hub.asked.clear()
            questions.answered(hub.tag, body)
            async with asyncio.timeout(30):
                await hub.asked.wait()
        hub.told.clear()
        good = {"error": None, "result": GOOD[topic], "id": 0}
        questions.answered(hub.tag, json.dumps(good).encode())
        assert hub.told == {topic}
        assert questions.figures["unusable_total"] > 0
        feeds.close()

    asyncio.run(run())


def test_changes_that_are_noted_within_half_a_millisecond_of_the_next_question_count_once() -> None:
    async def run() -> None:
        hub = Hub()
        core = cast("_core.Hub", hub)
        questions = Questions(core, structlog.get_logger())
        feeds = Feeds(core, questions, Paces(price=0.000_4), is_polling=False)
        feeds.watched("price X")
        for _ in range(3):
            hub.asked.clear()
            questions.answered(hub.tag, b'{"error": null, "result": "1", "id": 0}')
            feeds.noted("deals X")
            feeds.noted("deals X")
            async with asyncio.timeout(30):
                await hub.asked.wait()
        feeds.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
