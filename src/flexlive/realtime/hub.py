"""Channel → subscribers inside one process. A fact is encoded once, by whoever publishes it.

Publishing never waits: deliveries leave through one first-in-first-out pump in chunks that yield to the event
loop between them, so a fan-out to thousands of sockets does not hold up the rest, and every subscriber sees facts
in the order they were published.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

import structlog
from msgspec import Struct
from prometheus_client import Counter

from flexlive.protocol.codec import FactTemplate

FAN_OUT_CHUNK_SUBSCRIBERS: Final = 256
FAN_OUT_QUEUED_MAX: Final = 100_000
"""Deliveries waiting in the pump; beyond this it stops yielding until it has caught up."""

_DELIVERED = Counter("flexlive_hub_deliveries_total", "Facts handed to subscribers of this process")
_FAILED = Counter("flexlive_hub_delivery_failures_total", "Subscribers that raised while being handed a fact")
_log = structlog.get_logger(__name__)


def driver_channel(driver_id: UUID | str) -> str:
    """Facts for one driver: route.update, delivery.update, notices."""
    return f"driver:{driver_id}"


def track_channel(delivery_id: UUID | str) -> str:
    """Facts of one delivery for its customer."""
    return f"track:{delivery_id}"


class HubFact(Struct, frozen=True, gc=False):
    """One fact on its way to subscribers.

    kind: of the event (`track.delivered`) or of the driver frame (`offer.open`). stream_seq: position in the
    stream it came from, 0 when it came from none. body: JSON object as bytes, what a customer stream sends.
    template: the driver frame with its hole for the session's seq; None on customer channels. offer_id: set on
    `offer.open` and `offer.update`, which die when the offer does.
    """

    kind: str
    stream_seq: int
    occurred_at: datetime
    body: bytes = b"{}"
    template: FactTemplate | None = None
    offer_id: UUID | None = None


class Subscriber(Protocol):
    def deliver(self, fact: HubFact, /) -> None:
        """Take a fact: synchronous, quick, must not raise. May be called once more after unsubscribing."""
        ...


class Hub:
    """defer: runs a callable soon, after other work had its turn (`loop.call_soon`)."""

    __slots__ = ("_channels", "_defer", "_delivering", "_jobs", "_pumping", "_queued")

    def __init__(self, defer: Callable[[Callable[[], None]], object]) -> None:
        self._defer = defer
        self._channels: dict[str, list[Subscriber]] = {}
        self._jobs: deque[tuple[HubFact, Sequence[Subscriber], int]] = deque()
        self._queued = 0
        self._pumping = False
        self._delivering = False

    def subscribe(self, channel: str, subscriber: Subscriber) -> None:
        """Facts published from now on reach the subscriber. A second subscription is a no-op."""
        subscribers = self._channels.setdefault(channel, [])
        if subscriber not in subscribers:
            subscribers.append(subscriber)

    def unsubscribe(self, channel: str, subscriber: Subscriber) -> None:
        """Idempotent. Facts already in the pump may still arrive."""
        subscribers = self._channels.get(channel)
        if subscribers is None:
            return
        if subscriber in subscribers:
            subscribers.remove(subscriber)
        if not subscribers:
            del self._channels[channel]

    def publish(self, channel: str, fact: HubFact) -> int:
        """Hand a fact to everyone on the channel; returns how many that is."""
        subscribers = self._channels.get(channel)
        if not subscribers:
            return 0
        self.send(tuple(subscribers), fact)
        return len(subscribers)

    def send(self, subscribers: Iterable[Subscriber], fact: HubFact) -> None:
        """Hand a fact to exactly these subscribers, in this order (nearest first, where it matters)."""
        audience = subscribers if isinstance(subscribers, tuple) else tuple(subscribers)
        if not audience:
            return
        self._jobs.append((fact, audience, 0))
        self._queued += len(audience)
        if not self._pumping:
            # The first chunk leaves at once: most facts have one reader, and it should not wait a turn.
            self._turn()
        elif self._queued > FAN_OUT_QUEUED_MAX and not self._delivering:
            self._drain(self._queued)

    def channel_count(self) -> int:
        return len(self._channels)

    def _turn(self) -> None:
        # Stays "pumping" until a turn finds nothing to do, so a burst of publishes within one turn is chunked too.
        self._pumping = bool(self._jobs)
        if self._pumping:
            self._drain(FAN_OUT_CHUNK_SUBSCRIBERS)
            self._defer(self._turn)

    def _drain(self, budget_deliveries: int) -> None:
        self._delivering = True
        while self._jobs and budget_deliveries > 0:
            fact, audience, done = self._jobs.popleft()
            upto = min(len(audience), done + budget_deliveries)
            if upto < len(audience):
                self._jobs.appendleft((fact, audience, upto))
            self._queued -= upto - done
            budget_deliveries -= upto - done
            self._deliver(fact, audience[done:upto] if done or upto < len(audience) else audience)
        self._delivering = False

    @staticmethod
    def _deliver(fact: HubFact, audience: Sequence[Subscriber]) -> None:
        for subscriber in audience:
            try:
                subscriber.deliver(fact)
            except Exception:
                _FAILED.inc()
                _log.exception("subscriber failed", kind=fact.kind)
        _DELIVERED.inc(len(audience))
