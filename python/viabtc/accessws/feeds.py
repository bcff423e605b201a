"""What is fed by what: one feed per watched topic, asked for when something changed, at a pace.

A topic that nobody watches costs nothing. A feed asks its backend one question at a time; what
changes meanwhile is asked for once, afterwards.
"""

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

from viabtc import _core
from viabtc.accessws.channels import Channel
from viabtc.accessws.questions import UNUSABLE, Questions, Reply
from viabtc.accessws.sources import CLOCK_S, Paces, Source, find_source

if TYPE_CHECKING:
    from viabtc.accessws.boards import Boards

_RETRY_S: Final = 1.0
"""Pause before an unanswered question is asked again."""

_INVALID_ARGUMENT: Final = 1

NOTED_PACE_S: Final = 0.1
"""Longest pause before a change that was noted is asked for."""


class Feed:
    """Asks for one topic."""

    def __init__(self, topic: str, source: Source, pace_s: float) -> None:
        self.topic = topic
        self.source = source
        self.pace_s = pace_s
        self.asked_at = 0.0
        self.tag: int | None = None
        """Of the question that is not answered yet."""
        self.is_stale = False
        """Something changed since the question was asked."""
        self.timer: asyncio.Handle | None = None
        self.due_at = 0.0
        """When the timer is due: one of uvloop for less than half a millisecond cannot tell."""


def _is_private(source: Source) -> bool:
    return isinstance(source, Channel) and source.is_private


def _traded(word: str) -> str:
    """The market whose deals a word speaks of; empty for other words."""
    kind, _, market = word.partition(" ")
    return market if kind == "deals" else ""


class Feeds:
    """All feeds of a hub.

    Args:
        is_polling: Not every change is noted, so each topic is asked for at its pace at least.
    """

    def __init__(
        self, hub: _core.Hub, questions: Questions, paces: Paces, *, is_polling: bool
    ) -> None:
        self.boards: Boards | None = None
        """What answers for market data where deals are followed; else its service is asked."""
        self._hub = hub
        self._questions = questions
        self._paces = paces
        self._is_polling = is_polling
        self._loop = asyncio.get_running_loop()
        self._by_topic: dict[str, Feed] = {}
        self._by_word: dict[str, dict[str, Feed]] = {}

    def __len__(self) -> int:
        return len(self._by_topic)

    def watched(self, topic: str) -> None:
        """A topic has its first subscriber."""
        made = find_source(topic, self._paces, is_fed=not self._is_polling)
        if made is None:
            return
        source, pace_s = made
        feed = self._by_topic[topic] = Feed(topic, source, pace_s)
        if source.word:
            feeds = self._by_word.setdefault(source.word, {})
            if not feeds and self.boards is not None and (market := _traded(source.word)):
                self.boards.watched(market)
            feeds[topic] = feed
            self._heed()
        self._ask(feed)

    def unwatched(self, topic: str) -> None:
        """Its last subscriber left."""
        feed = self._by_topic.pop(topic, None)
        if feed is None:
            return
        if feed.timer is not None:
            feed.timer.cancel()
        if feed.tag is not None:
            self._questions.forget(feed.tag)
        feeds = self._by_word.get(feed.source.word, {})
        feeds.pop(topic, None)
        if not feeds:
            self._by_word.pop(feed.source.word, None)
            if self.boards is not None and (market := _traded(feed.source.word)):
                self.boards.unwatched(market)
            self._heed()

    def noted(self, word: str) -> None:
        """Something changed."""
        for feed in self._by_word.get(word, {}).values():
            if feed.tag is not None:
                feed.is_stale = True
            else:
                self._schedule(feed, feed.asked_at + min(feed.pace_s, NOTED_PACE_S))

    def close(self) -> None:
        """Asks nothing more."""
        for topic in list(self._by_topic):
            self.unwatched(topic)

    def _answered(self, feed: Feed, reply: Reply | None) -> None:
        feed.tag = None
        if reply is None:
            self._schedule(feed, feed.asked_at + _RETRY_S)
            return
        if reply.error is not None:
            # Source: a market that does not exist is subscribed to with success and shows nothing.
            if reply.error.get("code") != _INVALID_ARGUMENT:
                self._schedule(feed, feed.asked_at + _RETRY_S)
            elif isinstance(feed.source, Channel):
                feed.source.refuse(self._hub, feed.topic)
            return
        self._show(feed, reply, is_polling=self._is_polling and not _is_private(feed.source))

    def _show(self, feed: Feed, reply: Reply, *, is_polling: bool) -> None:
        try:
            feed.source.show(self._hub, feed.topic, bytes(reply.result))
        except UNUSABLE as error:
            # One odd answer must not end what others are told.
            self._questions.complain(feed.topic, error)
            self._schedule(feed, feed.asked_at + _RETRY_S)
            return
        if feed.is_stale:
            self._schedule(feed, feed.asked_at + min(feed.pace_s, NOTED_PACE_S))
        elif is_polling:
            self._schedule(feed, feed.asked_at + feed.pace_s)
        elif feed.source.follows_time:
            self._schedule(feed, feed.asked_at + CLOCK_S)

    def _heed(self) -> None:
        self._hub.heed(list(self._by_word))

    def _schedule(self, feed: Feed, at_s: float) -> None:
        """Asks at a time, or earlier if that was planned."""
        if feed.timer is not None:
            if feed.due_at <= at_s:
                return
            feed.timer.cancel()
            feed.timer = None
        if at_s <= self._loop.time():
            self._ask(feed)
        else:
            feed.due_at = at_s
            feed.timer = self._loop.call_at(at_s, self._ask, feed)

    def _ask(self, feed: Feed) -> None:
        if feed.timer is not None:
            feed.timer.cancel()
            feed.timer = None
        feed.is_stale = False
        feed.asked_at = self._loop.time()
        source = feed.source
        if self.boards is not None and (market := _traded(source.word)):
            reply = self.boards.answer(market, source.method, source.params())
            if reply is not None and reply.error is None:
                self._show(feed, reply, is_polling=False)
                return
        then = partial(self._answered, feed)
        feed.tag = self._questions.ask(source.method, source.params(), then)
