"""The bus between processes: topics and bytes. It may lose, double and reorder anything; nothing is true because it
came over the bus. Two implementations ship: buses/memory.py (one process) and buses/nats.py (several).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

Callback: TypeAlias = Callable[[bytes], None]
Unsubscribe: TypeAlias = Callable[[], None]


class Bus(Protocol):
    """Belongs to the event loop that called start; no method may be called from another thread."""

    def publish(self, topic: str, payload: bytes) -> None:
        """Hand over and return at once: never blocks, never raises, drops (and counts) what does not fit.

        Subscribers are called later, never from inside this call. Dropped while the bus is not started.
        """
        ...

    def subscribe(self, topic: str, callback: Callback) -> Unsubscribe:
        """Call back with each payload of exactly this topic, from now on until unsubscribed (twice is harmless).

        May be called before start. The callback is synchronous and short; what it raises is logged and counted and
        harms neither the next message nor another subscriber.
        """
        ...

    @property
    def connected(self) -> bool:
        """Whether messages can reach other processes now; facts then still flow by polling, slower."""
        ...

    async def start(self) -> None: ...

    async def stop(self) -> None:
        """Deliver what is queued, then forget all subscriptions. Twice is harmless."""
        ...
