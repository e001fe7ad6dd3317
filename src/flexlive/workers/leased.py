"""A loop that only one process runs per market: lease, tick, wait until woken or due."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from prometheus_client import Counter

from flexlive.storage import leases
from flexlive.storage.leases import Lease, LeaseName
from flexlive.storage.pool import Pool

_log = structlog.get_logger()
_failures = Counter("flexlive_worker_failures_total", "Ticks that failed and will be tried again", ["worker"])


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseOptions:
    """How long a dead holder keeps others waiting, and how often they look."""

    lease_seconds: float = 5.0
    retry_seconds: float = 1.0
    failure_delay_seconds_max: float = 5.0


class LeasedLoop:
    """One role in one market. tick(lease) does a piece of work and says in how many seconds it wants to run again;
    it must check the lease inside its own transactions (storage.leases.hold)."""

    def __init__(
        self,
        pool: Pool,
        market_id: str,
        name: LeaseName,
        holder: str,
        options: LeaseOptions,
        tick: Callable[[Lease], Awaitable[float]],
    ) -> None:
        self._pool = pool
        self._market_id = market_id
        self._name: LeaseName = name
        self._holder = holder
        self._options = options
        self._tick = tick
        self._woken = asyncio.Event()
        self._lease: Lease | None = None
        self._renew_after = 0.0

    def wake(self) -> None:
        """There may be work; ticks are coalesced."""
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled; gives the lease back."""
        failures = 0
        try:
            while True:
                try:
                    delay_seconds = await self._round()
                    failures = 0
                except Exception as error:
                    failures += 1
                    _failures.labels(self._name).inc()
                    self._lease = None
                    delay_seconds = min(0.1 * 2**failures, self._options.failure_delay_seconds_max)
                    _log.warning("worker_tick_failed", worker=self._name, market_id=self._market_id, error=repr(error))
                    # Being woken again and again must not turn a broken database into a busy loop.
                    await asyncio.sleep(delay_seconds)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), delay_seconds)
                self._woken.clear()
        finally:
            if self._lease is not None:
                with contextlib.suppress(Exception):
                    await leases.release(self._pool, self._lease)

    async def _round(self) -> float:
        now = time.monotonic()
        if self._lease is None:
            self._lease = await leases.acquire(
                self._pool, self._market_id, self._name, self._holder, self._options.lease_seconds
            )
            self._renew_after = now + self._options.lease_seconds / 3
        elif now >= self._renew_after:
            self._lease = await leases.renew(self._pool, self._lease, self._options.lease_seconds)
            self._renew_after = now + self._options.lease_seconds / 3
        if self._lease is None:
            return self._options.retry_seconds
        due_seconds = await self._tick(self._lease)
        return min(due_seconds, max(0.0, self._renew_after - time.monotonic()))
