"""The live dispatcher: one per market, under a lease whose term fences a holder that has lost it.

Woken by facts (an order, a driver come online) and by what open offers have due. A tick is one look, one pure
decision and short transactions, each of which locks and checks again, so that kill -9 at any point neither loses nor
doubles an offer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import Counter, Histogram

from flexlive.domain.allocation.policies import POLICIES
from flexlive.domain.allocation.types import Decision
from flexlive.services import dispatching, market_sight
from flexlive.services.context import Context
from flexlive.storage import leases
from flexlive.storage.leases import Lease
from flexlive.storage.policies import MarketRules
from flexlive.storage.transaction import transaction
from flexlive.workers.leased import LeasedLoop, LeaseOptions

WAKING_KINDS: Final = frozenset({"delivery.created", "delivery.readiness", "driver.presence", "driver.declined"})
"""Facts after which the market may look different to a policy."""

_tick_seconds = Histogram("flexlive_dispatcher_tick_seconds", "One look, decision and write", ["market_id"])
_decisions = Counter("flexlive_dispatcher_decisions_total", "Decisions carried out", ["market_id", "action"])


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatcherOptions:
    """tick_seconds_max: how long a market without work goes without a look; with work, divided by the time scale but
    never below tick_seconds_min. coalesce_seconds: how long a tick waits for what comes together."""

    tick_seconds_max: float = 1.0
    tick_seconds_min: float = 0.1
    coalesce_seconds: float = 0.005
    decisions_per_transaction_max: int = 25
    lease: LeaseOptions = field(default_factory=LeaseOptions)


class Dispatcher:
    """All markets of this process; other processes may hold some of the leases."""

    def __init__(self, ctx: Context, holder: str, options: DispatcherOptions) -> None:
        self._ctx = ctx
        self._holder = holder
        self._options = options
        self._loops: dict[str, LeasedLoop] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._tick_seconds = max(options.tick_seconds_min, options.tick_seconds_max / ctx.time_scale)

    def ensure(self, market_id: str) -> None:
        """Start this market's loop; nothing happens when it runs."""
        if market_id not in self._loops:
            loop = LeasedLoop(self._ctx.pool, market_id, "dispatcher", self._holder, self._options.lease, self._tick)
            self._loops[market_id] = loop
            self._tasks[market_id] = asyncio.create_task(loop.run())

    def wake(self, market_id: str) -> None:
        """There may be something to decide."""
        loop = self._loops.get(market_id)
        if loop is not None:
            loop.wake()

    async def stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _tick(self, lease: Lease) -> float:
        # Orders come in bursts; what arrived together is decided together.
        await asyncio.sleep(self._options.coalesce_seconds)
        started = time.perf_counter()
        ctx = self._ctx
        async with ctx.pool.acquire() as conn:
            rules = await ctx.rules.get(conn, lease.market_id, ctx.monotonic())
            now = ctx.clock()
            unreachable = ctx.roster.unreachable(lease.market_id)
            sight = await market_sight.look(conn, rules, now, unreachable)
        decide = POLICIES[rules.policy.offer_policy]
        seed = int(now.timestamp() * 1_000_000)
        decisions = decide(now, seed, rules.policy, sight.pending, sight.open_offers, sight.drivers, sight.history)
        size = self._options.decisions_per_transaction_max
        for start in range(0, len(decisions), size):
            await self._carry_out(lease, rules, decisions[start : start + size])
        _tick_seconds.labels(lease.market_id).observe(time.perf_counter() - started)
        if sight.next_due_at is None:
            # Nothing falls due in a market without work; whatever changes that is a fact, and facts wake.
            working = sight.pending or sight.open_offers
            return self._tick_seconds if working else self._options.tick_seconds_max
        due_seconds = (sight.next_due_at - ctx.clock()).total_seconds()
        return min(self._tick_seconds, max(self._options.tick_seconds_min, due_seconds))

    async def _carry_out(self, lease: Lease, rules: MarketRules, decisions: Sequence[Decision]) -> None:
        async with transaction(self._ctx.pool) as conn:
            if not await leases.hold(conn, lease):
                return
            done = await dispatching.carry_out(self._ctx, conn, rules, decisions, self._ctx.clock())
        for decision in decisions:
            _decisions.labels(lease.market_id, type(decision).__name__.lower()).inc()
        if done:
            self._ctx.committed(lease.market_id)
