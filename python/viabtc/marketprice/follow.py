"""From the topic `deals` to the board: each message once, whatever happens to broker and topic.

Deals that the topic lost, at its beginning by age or in its middle by a broker's failure, are read
from the history database, if one is configured.
"""

import asyncio
from typing import Any, Final

from viabtc import _core
from viabtc.edges.kafka import Message, TopicError, TopicReader, TopicSettings, open_topic
from viabtc.edges.store import StoreError
from viabtc.marketprice.history import DealHistory, first_deal

_TIMEOUT_S: Final = 10.0
"""Calls of the broker end within this."""

_RETRY_MIN_S: Final = 0.2
_RETRY_MAX_S: Final = 5.0
"""Pauses between attempts double from the one to the other."""

_HISTORY_PATIENCE_S: Final = 30.0
"""So long the history may take to have what the topic has; then candles do without."""

_HISTORY_RETRY_S: Final = 0.5

_REFUSED_SHOWN: Final = 10
"""So many malformed messages of a batch are named in the log."""


class Follower:
    """Counts deals into a board until it is cancelled."""

    def __init__(
        self,
        board: _core.MarketBoard,
        topic: TopicSettings,
        history: DealHistory | None,
        log: Any,
    ) -> None:
        self.has_caught_up = False
        """Whether the board held once, since the start, all that the topic held then."""
        self.problem: str | None = "not connected yet"
        """Why nothing comes, until it does."""
        self.counts = {
            "messages_total": 0,
            "repeated_total": 0,
            "missing_total": 0,
            "completed_total": 0,
            "refused_total": 0,
        }
        self._board = board
        self._topic = topic
        self._history = history
        self._log = log
        self._is_behind = False
        """Whether deals before the first message may be in the history alone."""

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
            if self._history is None:
                self._log.error(
                    "deals are no longer in the topic; candles lack them: configure"
                    " viabtc.db_history, or `viabtc import-deals` counts them in from a file",
                    wanted=wanted,
                    beginning=bounds.beginning,
                )
            wanted = bounds.beginning
            self._is_behind = True
        elif wanted > bounds.end:
            # What was lost and counted comes again with the same numbers, and is dropped.
            self._log.error("the topic lost its end", wanted=wanted, end=bounds.end)
            wanted = bounds.end
        self._is_behind = self._is_behind or offset is None
        if self._is_behind and bounds.beginning == bounds.end:
            await self._complete(None)
        # A topic without messages holds nothing that could be waited for.
        self.has_caught_up = self.has_caught_up or wanted >= bounds.end
        reader.seek(wanted)
        return bounds.end

    async def _follow(self, reader: TopicReader, end: int) -> None:
        while True:
            messages = await reader.batch()
            self.problem = None
            if messages:
                await self._take(messages)
            if not self.has_caught_up:
                offset = self._board.position["offset"]
                self.has_caught_up = (0 if offset is None else offset + 1) >= end

    async def _take(self, messages: list[Message]) -> None:
        """Counts messages in, and before those that follow a gap what the history has of it."""
        if self._is_behind:
            if missing := await self._complete(first_deal(messages)):
                self._log.error("deals never came", count=missing)
            self._is_behind = False
        until_gap = self._history is not None
        while messages:
            report = await asyncio.to_thread(
                self._board.apply_messages, messages, until_gap=until_gap
            )
            self._count(report)
            messages = messages[report["taken"] :]
            if messages:
                missing = await self._complete(first_deal(messages))
                report = await asyncio.to_thread(self._board.apply_messages, messages[:1])
                self._count({**report, "missing": missing})
                messages = messages[1:]

    async def _complete(self, before: int | None) -> int:
        """Counts in what the history has before a deal, or all; how many deals are missing still.

        The history is written transaction by transaction: when it has a deal, it has those before.
        Candles that lack deals are better than none: what does not come in time is left out.
        """
        if self._history is None:
            return 0
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _HISTORY_PATIENCE_S
        problem = None
        while before is None or before - self._board.last_deal > 1:
            try:
                newest = await self._history.newest()
                if before is None:
                    before = newest + 1
                is_late = newest + 1 < before and loop.time() < deadline
                if not is_late:
                    await self._count_from(self._history, min(before, newest + 1))
                    break
                problem = f"the newest deal of the history is {newest}, and {before - 1} is wanted"
            except StoreError as error:
                problem = str(error)
                if loop.time() >= deadline:
                    break
            self.problem = problem
            await asyncio.sleep(_HISTORY_RETRY_S)
        self.problem = None
        if problem is not None:
            self._log.warning("the history was late", before=before, reason=problem)
        return 0 if before is None else max(0, before - 1 - self._board.last_deal)

    async def _count_from(self, history: DealHistory, before: int) -> None:
        found = 0
        async for deals in history.deals(self._board.last_deal, before):
            found += await asyncio.to_thread(self._board.complete, deals)
        self.counts["completed_total"] += found
        if found:
            self._log.warning("deals that the topic lost come from the history", count=found)

    def _count(self, report: dict[str, Any]) -> None:
        self.counts["messages_total"] += report["taken"]
        self.counts["repeated_total"] += report["repeated"]
        self.counts["missing_total"] += report["missing"]
        self.counts["refused_total"] += len(report["refused"])
        if report["missing"]:
            self._log.error("deals never came", count=report["missing"])
        for offset, reason in report["refused"][:_REFUSED_SHOWN]:
            self._log.error("a message is not counted", offset=offset, reason=reason)
