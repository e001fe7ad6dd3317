"""The waker: looks every second, and whenever an offer opens, for sleeping phones to ring. One per market, under a
lease; a ring is claimed inside a transaction that holds it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

from flexlive.domain.wake_ups import Attention, WakeRules
from flexlive.services import waking
from flexlive.services.context import Context
from flexlive.services.ringing import Ringer, RingOptions
from flexlive.services.wake_push import PushKind, PushProvider
from flexlive.storage.leases import Lease
from flexlive.workers.leased import LeasedLoop, LeaseOptions

RINGING_KINDS: Final = frozenset({"offer.opened", "offer.widened"})
"""Facts after which there may be somebody to ring."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WakerOptions:
    """crowded_seconds: until the next look while more phones want to be rung than are rung at once."""

    interval_seconds: float = 1.0
    crowded_seconds: float = 0.1
    rules: WakeRules = field(default_factory=WakeRules)
    rings: RingOptions = field(default_factory=RingOptions)
    lease: LeaseOptions = field(default_factory=LeaseOptions)


class Waker:
    """All markets of this process; other processes may hold some of the leases. draw: uniform in [0, 1)."""

    def __init__(
        self,
        ctx: Context,
        holder: str,
        options: WakerOptions,
        providers: Mapping[PushKind, PushProvider],
        draw: Callable[[], float],
    ) -> None:
        self._ctx = ctx
        self._holder = holder
        self._options = options
        self._ringer = Ringer(ctx, providers, options.rings, draw)
        self._loops: dict[str, LeasedLoop] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._attention: dict[str, tuple[int, Attention]] = {}
        self._rings: set[asyncio.Task[None]] = set()

    def ensure(self, market_id: str) -> None:
        """Start this market's loop; nothing happens when it runs."""
        if market_id not in self._loops:
            loop = LeasedLoop(self._ctx.pool, market_id, "waker", self._holder, self._options.lease, self._tick)
            self._loops[market_id] = loop
            self._tasks[market_id] = asyncio.create_task(loop.run())

    def wake(self, market_id: str) -> None:
        """There may be somebody to ring."""
        loop = self._loops.get(market_id)
        if loop is not None:
            loop.wake()

    async def stop(self) -> None:
        """Rings under way are given up: too few rather than two."""
        under_way = [*self._tasks.values(), *self._rings]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def _tick(self, lease: Lease) -> float:
        ctx, options = self._ctx, self._options
        term, attention = self._attention.get(lease.market_id, (0, None))
        if attention is None or term != lease.term:
            # Whoever held the lease before knew who was connected; this process starts anew.
            attention = Attention(ctx.monotonic(), options.rules)
            self._attention[lease.market_id] = lease.term, attention
        wanted = await waking.look(ctx, lease.market_id, attention, options.rules)
        for offer_id, of_offer in groupby(wanted, key=lambda each: each.offer_id):
            batch = list(of_offer)
            free = options.rings.at_once_max - len(self._rings)
            for ringing in await waking.claim(ctx, lease, batch[:free], options.rings.seconds_left_min) if free else ():
                self._start(self._ringer.ring(lease.market_id, offer_id, ringing))
            if len(batch) > free:
                # Who did not fit is looked at again in a moment, should a ring still be wanted then.
                return options.crowded_seconds
        return options.interval_seconds

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._rings.add(task)
        task.add_done_callback(self._rings.discard)
