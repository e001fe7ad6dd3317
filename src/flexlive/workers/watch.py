"""The watch: looks every second for what has waited too long. One per market, under a lease."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime

from flexlive.services import watch
from flexlive.services.context import Context
from flexlive.storage.leases import Lease
from flexlive.workers.leased import LeasedLoop, LeaseOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOptions:
    """interval_seconds: of the wall clock, also where policies run faster: a look costs half a dozen statements."""

    interval_seconds: float = 1.0
    lease: LeaseOptions = field(default_factory=LeaseOptions)


class Watch:
    """All markets of this process; other processes may hold some of the leases."""

    def __init__(self, ctx: Context, holder: str, options: WatchOptions) -> None:
        self._ctx = ctx
        self._holder = holder
        self._options = options
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._listening: dict[str, tuple[int, datetime]] = {}

    def ensure(self, market_id: str) -> None:
        """Start this market's loop; nothing happens when it runs."""
        if market_id not in self._tasks:
            loop = LeasedLoop(self._ctx.pool, market_id, "watch", self._holder, self._options.lease, self._tick)
            self._tasks[market_id] = asyncio.create_task(loop.run())

    async def stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _tick(self, lease: Lease) -> float:
        now = self._ctx.clock()
        term, since = self._listening.get(lease.market_id, (0, now))
        if term != lease.term:
            # Before this term nobody may have listened (a restart, an outage): silence counts from here.
            self._listening[lease.market_id] = lease.term, (since := now)
        await watch.look(self._ctx, lease, now, since)
        return self._options.interval_seconds
