"""What is fed by what: one feed per watched topic, asked for when something changed, at a pace.

A topic that nobody watches costs nothing. A feed asks its backend one question at a time; what
changes meanwhile is asked for once, afterwards.
"""

import asyncio
from typing import Any, Final

import msgspec

from viabtc import _core
from viabtc.accessws.sources import CLOCK_S, Paces, Source, find_source

_RETRY_S: Final = 1.0
"""Pause before an unanswered question is asked again."""

_TAG_MAX: Final = 2**31 - 1

_INVALID_ARGUMENT: Final = 1


class Reply(msgspec.Struct):
    """What a backend answers."""

    error: dict[str, Any] | None
    result: msgspec.Raw


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
        self.timer: asyncio.TimerHandle | None = None


class Feeds:
    """All feeds of a hub.

    Args:
        is_polling: Nobody notes changes, so each topic is asked for at its pace.
    """

    def __init__(self, hub: _core.Hub, paces: Paces, *, is_polling: bool) -> None:
        self._hub = hub
        self._paces = paces
        self._is_polling = is_polling
        self._loop = asyncio.get_running_loop()
        self._by_topic: dict[str, Feed] = {}
        self._by_word: dict[str, dict[str, Feed]] = {}
        self._by_tag: dict[int, Feed] = {}
        self._tag = 0

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
            self._by_word.setdefault(source.word, {})[topic] = feed
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
            del self._by_tag[feed.tag]
        feeds = self._by_word.get(feed.source.word, {})
        feeds.pop(topic, None)
        if not feeds:
            self._by_word.pop(feed.source.word, None)
            self._heed()

    def noted(self, word: str) -> None:
        """Something changed."""
        for feed in self._by_word.get(word, {}).values():
            if feed.tag is not None:
                feed.is_stale = True
            else:
                self._schedule(feed, feed.asked_at + feed.pace_s)

    def answered(self, tag: int, body: bytes | None) -> None:
        """A question was answered, or was not in time."""
        feed = self._by_tag.pop(tag, None)
        if feed is None:
            return
        feed.tag = None
        if body is None:
            self._schedule(feed, feed.asked_at + _RETRY_S)
            return
        reply = msgspec.json.decode(body, type=Reply)
        if reply.error is not None:
            # Source: a market that does not exist is subscribed to with success and shows nothing.
            if reply.error.get("code") != _INVALID_ARGUMENT:
                self._schedule(feed, feed.asked_at + _RETRY_S)
            return
        feed.source.show(self._hub, feed.topic, bytes(reply.result))
        if feed.is_stale or self._is_polling:
            self._schedule(feed, feed.asked_at + feed.pace_s)
        elif feed.source.follows_time:
            self._schedule(feed, feed.asked_at + CLOCK_S)

    def close(self) -> None:
        """Asks nothing more."""
        for topic in list(self._by_topic):
            self.unwatched(topic)

    def _heed(self) -> None:
        self._hub.heed(list(self._by_word))

    def _schedule(self, feed: Feed, at_s: float) -> None:
        """Asks at a time, or earlier if that was planned."""
        if feed.timer is not None:
            if feed.timer.when() <= at_s:
                return
            feed.timer.cancel()
            feed.timer = None
        if at_s <= self._loop.time():
            self._ask(feed)
        else:
            feed.timer = self._loop.call_at(at_s, self._ask, feed)

    def _ask(self, feed: Feed) -> None:
        if feed.timer is not None:
            feed.timer.cancel()
            feed.timer = None
        self._tag = self._tag % _TAG_MAX + 1
        feed.tag = self._tag
        feed.is_stale = False
        feed.asked_at = self._loop.time()
        self._by_tag[feed.tag] = feed
        self._hub.ask(feed.tag, feed.source.method, feed.source.params())
