"""One customer's stream: what was missed comes from PostgreSQL, what happens now from the hub, in order, no hole.

The feed is subscribed before the first read, so a fact is in the read, in the feed, or in both; both is dropped by seq.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Final

import msgspec
import structlog

from flexlive.domain.deliveries import TERMINAL, DeliveryStatus
from flexlive.protocol import customer as wire
from flexlive.realtime.hub import Hub, track_channel
from flexlive.services import tracking
from flexlive.services.context import Context
from flexlive.services.delivery_events import OWN_LEG
from flexlive.services.tracking import LINK_REVOKED_KIND, Link
from flexlive.storage import failures
from flexlive.storage.tracking import TrackFact
from flexlive.web.event_stream import HEARTBEAT, event, retry
from flexlive.web.track_feeds import TrackStreams

RETRY_MS_MIN: Final = 1000
RETRY_MS_SPREAD: Final = 3000

_log = structlog.get_logger(__name__)
_encode = msgspec.json.Encoder().encode
_STATUSES: Final = frozenset(DeliveryStatus)


class TrackStream:
    """One stream, subscribed from its creation. `events` is iterated once; `close` must be called."""

    def __init__(self, ctx: Context, hub: Hub, streams: TrackStreams, link: Link, last_event_id: str | None) -> None:
        self._ctx, self._hub, self._streams, self._link = ctx, hub, streams, link
        self._last_event_id = last_event_id
        self._feed = streams.enter(link)
        self._channel = track_channel(link.delivery_id)
        self._seq = 0
        self._revoked = False
        self._checked_at = ctx.monotonic()
        self._status = link.row.status
        hub.subscribe(self._channel, self._feed)

    def close(self) -> None:
        self._hub.unsubscribe(self._channel, self._feed)
        self._streams.leave(self._link, self._feed)

    async def events(self) -> AsyncGenerator[bytes]:
        """Encoded events until the delivery has ended or the stream is cut. Never raises: who is cut off resumes."""
        try:
            yield b"".join(await self._open())
            while not self._ended():
                if self._feed.closing or self._feed.overflowed:
                    return
                woken = await self._feed.wait(self._streams.options.stream_heartbeat_seconds)
                await self._recheck()
                chunk = b"".join(await self._catch_up()) if woken else HEARTBEAT
                if chunk:
                    yield chunk
            yield event("end", _encode(wire.StreamEnd(self._status)))
        except Exception as error:
            if failures.unreachable(error):
                _log.warning("tracking stream cut", reason="database unreachable")
            else:
                _log.exception("tracking stream failed")

    async def _open(self) -> list[bytes]:
        asked = wire.parse_event_id(self._last_event_id) if self._last_event_id else None
        epoch, known = self._ctx.epoch, self._link.row.track_seq
        # Spread by the link, so that a restart does not bring everybody back in one instant.
        opening = [retry(RETRY_MS_MIN + int.from_bytes(self._link.token_sha256[:2]) % RETRY_MS_SPREAD)]
        if asked is not None and asked.epoch == epoch.hex and asked.seq <= known:
            self._seq = asked.seq
            opening.append(event("position", _encode(wire.StreamPosition(epoch.hex, asked.seq, resumed=True))))
            return opening + await self._read_missing()
        opening.append(event("position", _encode(wire.StreamPosition(epoch.hex, known, resumed=False))))
        if self._last_event_id:
            reason = "other_epoch" if asked is not None and asked.epoch != epoch.hex else "unknown_position"
            opening.append(event("reset", _encode(wire.StreamReset(reason))))
        history = await tracking.facts(self._ctx, self._link, 0)
        state = tracking.state(self._ctx, self._link, history)
        self._seq = known
        opening.append(event("state", _encode(state), wire.format_event_id(epoch, known)))
        return opening + await self._tell([fact for fact in history if fact.seq > known])

    async def _catch_up(self) -> list[bytes]:
        feed, told = self._feed, list[bytes]()
        while feed.facts and not self._revoked:
            fact = feed.facts.popleft()
            if fact.stream_seq <= self._seq:
                continue
            if fact.stream_seq > self._seq + 1 or fact.kind == LINK_REVOKED_KIND:
                told += await self._read_missing()
            else:
                told.append(self._fact(fact.stream_seq, fact.kind, fact.body))
        news, feed.news = feed.news, {}
        # News of a driver who is not (any more) on this customer's own leg is nobody's business here.
        if self._status in OWN_LEG and not self._revoked:
            told += [event(kind, body) for kind, body in news.items()]
        return told

    async def _read_missing(self) -> list[bytes]:
        return await self._tell(await tracking.facts(self._ctx, self._link, self._seq))

    async def _tell(self, facts: Sequence[TrackFact]) -> list[bytes]:
        told: list[bytes] = []
        # Who brought it is the customer's to know during the own leg only, not when the past is read again.
        named = self._status_after(facts) in OWN_LEG
        for fact in facts:
            if fact.kind == LINK_REVOKED_KIND and not await self._still_valid():
                self._revoked = True
                break
            data = fact.data if named or "courier" not in fact.data else {**fact.data, "courier": None}
            told.append(self._fact(fact.seq, fact.kind, _encode(data)))
        return told

    def _status_after(self, facts: Sequence[TrackFact]) -> str:
        kinds = (fact.kind.removeprefix("track.") for fact in reversed(facts))
        return next((kind for kind in kinds if kind in _STATUSES), self._status)

    async def _recheck(self) -> None:
        # Revoking tells open streams by a fact; this also ends those whose revocation left none.
        now = self._ctx.monotonic()
        if now - self._checked_at >= self._streams.options.stream_recheck_seconds:
            self._checked_at = now
            self._revoked = not await self._still_valid()

    async def _still_valid(self) -> bool:
        return await tracking.reopen(self._ctx, self._link.market_id, self._link.token_sha256) is not None

    def _fact(self, seq: int, kind: str, body: bytes) -> bytes:
        self._seq = seq
        status = kind.removeprefix("track.")
        if status in _STATUSES:
            self._status = status
        return event("fact", body, wire.format_event_id(self._ctx.epoch, seq))

    def _ended(self) -> bool:
        return self._revoked or self._status in TERMINAL
