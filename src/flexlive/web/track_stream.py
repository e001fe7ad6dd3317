"""One customer's stream: what was missed comes from PostgreSQL, what happens now from the hub, in order, no hole.

The feed is subscribed before the first read, so a fact is in the read, in the feed, or in both; both is dropped by seq.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from flexlive.domain.deliveries import TERMINAL, DeliveryStatus
from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.protocol import customer as wire
from flexlive.realtime.hub import Hub, HubFact, track_channel
from flexlive.services import tracking
from flexlive.services.context import Context
from flexlive.services.delivery_events import OWN_LEG
from flexlive.services.tracking import LINK_REVOKED_KIND, Link
from flexlive.web.event_stream import HEARTBEAT, event, retry
from flexlive.web.limits import HttpOptions

EPHEMERAL_KINDS: Final = ("courier", "eta")
RETRY_MS_MIN: Final = 1000
RETRY_MS_SPREAD: Final = 3000

_encode = msgspec.json.Encoder().encode
_STATUSES: Final = frozenset(DeliveryStatus)


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

    @property
    def open_count(self) -> int:
        return len(self._feeds)

    def enter(self, link: Link) -> TrackFeed:
        """A feed for a new stream. FlexliveError(rate_limited) when the link has enough of them."""
        if self._by_link[link.token_sha256] >= self.options.streams_per_link_max:
            raise FlexliveError(ErrorCode.RATE_LIMITED, "too many open streams of this link")
        self._by_link[link.token_sha256] += 1
        feed = TrackFeed(self.options.stream_facts_queued_max)
        self._feeds.add(feed)
        return feed

    def leave(self, link: Link, feed: TrackFeed) -> None:
        """Idempotent."""
        if feed in self._feeds:
            self._feeds.discard(feed)
            self._by_link[link.token_sha256] -= 1
            if self._by_link[link.token_sha256] <= 0:
                del self._by_link[link.token_sha256]

    def drain(self) -> None:
        """Ask every stream to end; for the process that stops."""
        for feed in tuple(self._feeds):
            feed.close()


class TrackStream:
    """One stream. `events` is iterated once; the caller has subscribed nothing and must call `close`."""

    def __init__(self, ctx: Context, hub: Hub, streams: TrackStreams, link: Link, last_event_id: str | None) -> None:
        self._ctx, self._hub, self._streams, self._link = ctx, hub, streams, link
        self._last_event_id = last_event_id
        self._feed = streams.enter(link)
        self._channel = track_channel(link.delivery_id)
        self._seq = 0
        self._status = link.row.status
        hub.subscribe(self._channel, self._feed)

    def close(self) -> None:
        self._hub.unsubscribe(self._channel, self._feed)
        self._streams.leave(self._link, self._feed)

    async def events(self) -> AsyncIterator[bytes]:
        """Encoded events: the opening, then live facts until the delivery has ended or the stream is cut."""
        async for chunk in self._open():
            yield chunk
        idle_seconds = 0.0
        options = self._streams.options
        while not self._ended():
            if await self._feed.wait(options.stream_heartbeat_seconds):
                async for chunk in self._catch_up():
                    yield chunk
                if self._feed.closing or self._feed.overflowed:
                    return
            else:
                yield HEARTBEAT
                idle_seconds += options.stream_heartbeat_seconds
                if idle_seconds >= options.stream_recheck_seconds:
                    idle_seconds = 0.0
                    if not await self._still_valid():
                        break
        yield event("end", _encode(wire.StreamEnd(self._status)))

    async def _open(self) -> AsyncIterator[bytes]:
        asked = wire.parse_event_id(self._last_event_id) if self._last_event_id else None
        epoch, known = self._ctx.epoch, self._link.row.track_seq
        # Spread by the link, so that a restart does not bring everybody back in one instant.
        yield retry(RETRY_MS_MIN + int.from_bytes(self._link.token_sha256[:2]) % RETRY_MS_SPREAD)
        if asked is not None and asked.epoch == epoch.hex and asked.seq <= known:
            self._seq = asked.seq
            yield event("position", _encode(wire.StreamPosition(epoch.hex, asked.seq, resumed=True)))
        else:
            yield event("position", _encode(wire.StreamPosition(epoch.hex, known, resumed=False)))
            if self._last_event_id:
                reason = "other_epoch" if asked is not None and asked.epoch != epoch.hex else "unknown_position"
                yield event("reset", _encode(wire.StreamReset(reason)))
            history = await tracking.facts(self._ctx, self._link, 0)
            state = tracking.state(self._ctx, self._link, history)
            self._seq = known
            yield event("state", _encode(state), wire.format_event_id(epoch, known))
        async for chunk in self._read_missing():
            yield chunk

    async def _catch_up(self) -> AsyncIterator[bytes]:
        feed = self._feed
        while feed.facts:
            fact = feed.facts.popleft()
            if fact.stream_seq <= self._seq:
                continue
            if fact.stream_seq > self._seq + 1 or fact.kind == LINK_REVOKED_KIND:
                async for chunk in self._read_missing():
                    yield chunk
            else:
                yield self._fact(fact.stream_seq, fact.kind, fact.body)
        news, feed.news = feed.news, {}
        # News of a driver who is not (any more) on this customer's own leg is nobody's business here.
        if self._status in OWN_LEG:
            for kind, body in news.items():
                yield event(kind, body)

    async def _read_missing(self) -> AsyncIterator[bytes]:
        for fact in await tracking.facts(self._ctx, self._link, self._seq):
            if fact.kind == LINK_REVOKED_KIND and not await self._still_valid():
                self._feed.closing = True
                return
            yield self._fact(fact.seq, fact.kind, _encode(fact.data))

    async def _still_valid(self) -> bool:
        return await tracking.reopen(self._ctx, self._link.market_id, self._link.token_sha256) is not None

    def _fact(self, seq: int, kind: str, body: bytes) -> bytes:
        self._seq = seq
        status = kind.removeprefix("track.")
        if status in _STATUSES:
            self._status = status
        return event("fact", body, wire.format_event_id(self._ctx.epoch, seq))

    def _ended(self) -> bool:
        return self._status in TERMINAL
