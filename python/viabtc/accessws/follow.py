"""From a topic to whoever tells it, from the topic's end on, whatever happens to the broker."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from viabtc.edges.kafka import Message, TopicError, TopicReader, TopicSettings, open_topic

_TIMEOUT_S: Final = 10.0
"""Calls of the broker end within this."""

UNREADABLE: Final = (ValueError, IndexError, RecursionError)
"""What reading a message may raise: it is not JSON, not UTF-8, not of the form, or deeper than a
parser goes. Whoever can write to a topic must not be able to end those who read it."""

_RETRY_MIN_S: Final = 0.2
_RETRY_MAX_S: Final = 5.0
"""Pauses between attempts double from the one to the other."""


class Follower:
    """Reads one topic until it is cancelled.

    Args:
        take: Gets messages, oldest first, each once.
        lost: Gets how many messages never came.
        tail: So many messages before the topic's end come too, when the topic has them.
    """

    def __init__(
        self,
        topic: TopicSettings,
        take: Callable[[Sequence[Message]], None],
        lost: Callable[[int], None],
        log: Any,
        *,
        tail: int = 0,
    ) -> None:
        self.problem: str | None = "not connected yet"
        """Why nothing comes, until it does."""
        self._topic = topic
        self._take = take
        self._lost = lost
        self._log = log
        self._tail = tail
        self._next: int | None = None
        """Offset of the next message; None before the first connection."""
        self._number: int | None = None
        """Of the last message, if it had one: behind an original's, ours begin with 1 again."""

    async def run(self) -> None:
        """Follows; a broker that is away is tried again and again."""
        pause_s = _RETRY_MIN_S
        while True:
            try:
                async with open_topic(self._topic, timeout_s=_TIMEOUT_S) as reader:
                    await self._begin(reader)
                    pause_s = _RETRY_MIN_S
                    while True:
                        self._pass_on(await reader.batch())
            except (TopicError, IndexError) as error:
                if self.problem != str(error):
                    name = self._topic.topic
                    self._log.warning("a topic cannot be read", topic=name, reason=str(error))
                self.problem = str(error)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _RETRY_MAX_S)

    async def _begin(self, reader: TopicReader) -> None:
        bounds = await reader.bounds()
        if self._next is None:
            self._next = max(bounds.beginning, bounds.end - self._tail)
        elif not bounds.beginning <= self._next <= bounds.end:
            # The broker dropped what was not read, or lost its end: nobody knows what is missing.
            self._lost(max(1, bounds.beginning - self._next))
            self._next = max(bounds.beginning, bounds.end - self._tail)
            self._number = None
        reader.seek(self._next)
        self.problem = None

    def _pass_on(self, messages: list[Message]) -> None:
        fresh: list[Message] = []
        missing = 0
        for message in messages:
            offset, _, number = message
            self._next = offset + 1
            if number is not None and self._number is not None:
                if number <= self._number:
                    # The publisher was not sure whether it had been sent.
                    continue
                missing += number - self._number - 1
            self._number = number
            fresh.append(message)
        if missing:
            self._lost(missing)
        if fresh:
            self._take(fresh)
