"""From the topic `deals` to the board: each message once, whatever happens to broker and topic."""

import asyncio
from typing import Any, Final

from viabtc import _core
from viabtc.edges.kafka import TopicError, TopicReader, TopicSettings, open_topic

_TIMEOUT_S: Final = 10.0
"""Calls of the broker end within this."""

_RETRY_MIN_S: Final = 0.2
_RETRY_MAX_S: Final = 5.0
"""Pauses between attempts double from the one to the other."""

_REFUSED_SHOWN: Final = 10
"""So many malformed messages of a batch are named in the log."""


class Follower:
    """Counts deals into a board until it is cancelled."""

    def __init__(self, board: _core.MarketBoard, topic: TopicSettings, log: Any) -> None:
        self.has_caught_up = False
        """Whether the board held once, since the start, all that the topic held then."""
        self.problem: str | None = "not connected yet"
        """Why nothing comes, until it does."""
        self.counts = {
            "messages_total": 0,
            "repeated_total": 0,
            "missing_total": 0,
            "refused_total": 0,
        }
        self._board = board
        self._topic = topic
        self._log = log

    async def run(self) -> None:
        """Follows; a broker that is away is tried again and again."""
        pause_s = _RETRY_MIN_S
        while True:
            try:
                async with open_topic(self._topic, timeout_s=_TIMEOUT_S) as reader:
                    end = await self._begin(reader)
                    pause_s = _RETRY_MIN_S
                    await self._follow(reader, end)
            except TopicError as error:
                if self.problem != str(error):
                    self._log.warning("deals cannot be read", reason=str(error))
                self.problem = str(error)
            except IndexError:
                # Found out anew by the next attempt, which knows what there is.
                self.problem = "the topic changed"
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _RETRY_MAX_S)

    async def _begin(self, reader: TopicReader) -> int:
        """Goes behind the last message that was counted in; the topic's end."""
        bounds = await reader.bounds()
        offset = self._board.position["offset"]
        wanted = 0 if offset is None else offset + 1
        if wanted < bounds.beginning:
            if offset is not None or bounds.beginning > 0:
                self._log.error(
                    "deals are no longer in the topic; candles lack them: `viabtc import-deals`"
                    " counts them in from a file",
                    wanted=wanted,
                    beginning=bounds.beginning,
                )
            wanted = bounds.beginning
        elif wanted > bounds.end:
            # What was lost and counted comes again with the same numbers, and is dropped.
            self._log.error("the topic lost its end", wanted=wanted, end=bounds.end)
            wanted = bounds.end
        reader.seek(wanted)
        return bounds.end

    async def _follow(self, reader: TopicReader, end: int) -> None:
        while True:
            messages = await reader.batch()
            self.problem = None
            if messages:
                report = await asyncio.to_thread(self._board.apply_messages, messages)
                self._count(len(messages), report)
            if not self.has_caught_up:
                offset = self._board.position["offset"]
                self.has_caught_up = (0 if offset is None else offset + 1) >= end

    def _count(self, messages: int, report: dict[str, Any]) -> None:
        self.counts["messages_total"] += messages
        self.counts["repeated_total"] += report["repeated"]
        self.counts["missing_total"] += report["missing"]
        self.counts["refused_total"] += len(report["refused"])
        if report["missing"]:
            self._log.error("deals never came", count=report["missing"])
        for offset, reason in report["refused"][:_REFUSED_SHOWN]:
            self._log.error("a message is not counted", offset=offset, reason=reason)
