"""The bus of a deployment with a single process: bounded queues, one delivery callback in the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

import structlog
from prometheus_client import Counter

from flexlive.realtime.bus import Callback, Unsubscribe

_log = structlog.get_logger()
_dropped = Counter("flexlive_bus_dropped_total", "Messages a full queue dropped")
_failed = Counter("flexlive_bus_callback_failures_total", "Subscriber callbacks that raised")


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryBusOptions:
    """queue_messages_max: waiting per subscription; turn_messages_max: delivered before others get the loop."""

    queue_messages_max: int = 10_000
    turn_messages_max: int = 256


@dataclass(eq=False, slots=True)
class _Subscription:
    topic: str
    callback: Callback
    waiting: deque[bytes] = field(default_factory=deque[bytes])
    scheduled: bool = False
    active: bool = True


class MemoryBus:
    """See realtime/bus.py for the contract."""

    def __init__(self, options: MemoryBusOptions | None = None) -> None:
        self._options = options or MemoryBusOptions()
        self._topics: dict[str, list[_Subscription]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def connected(self) -> bool:
        return self._loop is not None

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()

    async def stop(self) -> None:
        self._loop = None
        for subscriptions in list(self._topics.values()):
            for subscription in subscriptions:
                while subscription.active and subscription.waiting:
                    _deliver(subscription, subscription.waiting.popleft())
                subscription.active = False
        self._topics.clear()

    def publish(self, topic: str, payload: bytes) -> None:
        loop = self._loop
        if loop is None:
            _dropped.inc()
            return
        for subscription in self._topics.get(topic, ()):
            if len(subscription.waiting) >= self._options.queue_messages_max:
                _dropped.inc()
                continue
            subscription.waiting.append(payload)
            if not subscription.scheduled:
                subscription.scheduled = True
                loop.call_soon(self._turn, subscription)

    def subscribe(self, topic: str, callback: Callback) -> Unsubscribe:
        subscription = _Subscription(topic, callback)
        # A new list: publish may be walking the old one.
        self._topics[topic] = [*self._topics.get(topic, ()), subscription]

        def unsubscribe() -> None:
            subscription.active = False
            subscription.waiting.clear()
            rest = [other for other in self._topics.get(topic, ()) if other is not subscription]
            if rest:
                self._topics[topic] = rest
            else:
                self._topics.pop(topic, None)

        return unsubscribe

    def _turn(self, subscription: _Subscription) -> None:
        for _ in range(self._options.turn_messages_max):
            if not (subscription.active and subscription.waiting):
                break
            _deliver(subscription, subscription.waiting.popleft())
        loop = self._loop
        subscription.scheduled = bool(subscription.active and subscription.waiting and loop is not None)
        if subscription.scheduled and loop is not None:
            loop.call_soon(self._turn, subscription)


def _deliver(subscription: _Subscription, payload: bytes) -> None:
    try:
        subscription.callback(payload)
    except Exception as error:
        _failed.inc()
        _log.exception("bus_callback_failed", topic=subscription.topic, error=repr(error))
