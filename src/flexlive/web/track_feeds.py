"""What waits to be written to customers: one bounded feed a stream, and the count of streams by link."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from contextlib import suppress
from typing import Final

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.realtime.hub import HubFact
from flexlive.services.tracking import Link
from flexlive.web.limits import HttpOptions

EPHEMERAL_KINDS: Final = ("courier", "eta")
DRAIN_BATCH_STREAMS: Final = 256
DRAIN_BATCH_SECONDS: Final = 0.01
DRAIN_SECONDS_MAX: Final = 3.0


class TrackFeed:
    """A hub subscriber with bounded memory: a queue of facts, and the newest news of each ephemeral kind."""

    __slots__ = ("_facts_max", "_wake", "closing", "facts", "news", "overflowed")

    def __init__(self, facts_max: int) -> None:
        self._facts_max = facts_max
        self._wake = asyncio.Event()
        self.facts: deque[HubFact] = deque()
        self.news: dict[str, bytes] = {}
        self.overflowed = False
        self.closing = False

    def deliver(self, fact: HubFact, /) -> None:
        if fact.stream_seq == 0:
            if fact.kind in EPHEMERAL_KINDS:
                self.news[fact.kind] = fact.body
        elif len(self.facts) < self._facts_max:
            self.facts.append(fact)
        else:
            # Resuming reads what did not fit from the database.
            self.overflowed = True
        self._wake.set()

    def close(self) -> None:
        """End the stream without an `end` event: the browser comes back, to another process perhaps."""
        self.closing = True
        self._wake.set()

    async def wait(self, seconds: float) -> bool:
        """True when something is there to do, False when nothing came for that long."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return False
        self._wake.clear()
        return True


class TrackStreams:
    """The open streams of this process, counted by link."""

    def __init__(self, options: HttpOptions | None = None) -> None:
        self.options = options or HttpOptions()
        self._by_link: Counter[bytes] = Counter()
        self._feeds: set[TrackFeed] = set()
        self._draining = False
        self._empty = asyncio.Event()

    @property
    def open_count(self) -> int:
        return len(self._feeds)

    def enter(self, link: Link) -> TrackFeed:
        """A feed for a new stream. FlexliveError(rate_limited) when the link has enough of them, (unavailable) while
        draining."""
        if self._draining:
            raise FlexliveError(ErrorCode.UNAVAILABLE, "this process is stopping")
        if self._by_link[link.token_sha256] >= self.options.streams_per_link_max:
            raise FlexliveError(ErrorCode.RATE_LIMITED, "too many open streams of this link")
        self._by_link[link.token_sha256] += 1
        feed = TrackFeed(self.options.stream_facts_queued_max)
        self._feeds.add(feed)
        self._empty.clear()
        return feed

    def leave(self, link: Link, feed: TrackFeed) -> None:
        """Idempotent."""
        if feed in self._feeds:
            self._feeds.discard(feed)
            self._by_link[link.token_sha256] -= 1
            if self._by_link[link.token_sha256] <= 0:
                del self._by_link[link.token_sha256]
        if not self._feeds:
            self._empty.set()

    async def drain(self) -> None:
        """End every stream, a batch at a time, and wait for them; for the process that stops. New ones are refused."""
        self._draining = True
        for batch_start in range(0, len(feeds := tuple(self._feeds)), DRAIN_BATCH_STREAMS):
            for feed in feeds[batch_start : batch_start + DRAIN_BATCH_STREAMS]:
                feed.close()
            await asyncio.sleep(DRAIN_BATCH_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS_MAX if self._feeds else 0):
                await self._empty.wait()
