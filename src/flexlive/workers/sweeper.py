"""Housekeeping under a lease: forgets old answers and dead tokens, bite by bite."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from flexlive.services import retention
from flexlive.services.context import Context
from flexlive.services.retention import RetentionOptions
from flexlive.storage.leases import Lease
from flexlive.workers.leased import LeasedLoop, LeaseOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class SweeperOptions:
    interval_seconds: float = 300.0
    pause_between_bites_seconds: float = 0.5
    retention: RetentionOptions = field(default_factory=RetentionOptions)
    lease: LeaseOptions = field(default_factory=lambda: LeaseOptions(lease_seconds=30.0, retry_seconds=30.0))


class Sweeper:
    """All markets of this process; other processes may hold some of the leases."""

    def __init__(self, ctx: Context, holder: str, options: SweeperOptions) -> None:
        self._ctx = ctx
        self._holder = holder
        self._options = options
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def ensure(self, market_id: str) -> None:
        """Start this market's loop; nothing happens when it runs."""
        if market_id not in self._tasks:
            loop = LeasedLoop(self._ctx.pool, market_id, "sweeper", self._holder, self._options.lease, self._tick)
            self._tasks[market_id] = asyncio.create_task(loop.run())

    async def stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _tick(self, lease: Lease) -> float:
        gone = await retention.sweep(self._ctx.pool, lease, self._options.retention, self._ctx.clock())
        return self._options.pause_between_bites_seconds if gone else self._options.interval_seconds
