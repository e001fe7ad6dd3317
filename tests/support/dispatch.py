"""One turn of the dispatcher by hand: look, decide, carry out."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from flexlive.domain.allocation.policies import POLICIES
from flexlive.services import dispatching, market_sight
from flexlive.services.context import Context
from flexlive.storage import policies
from flexlive.storage.transaction import transaction


async def dispatch(ctx: Context, market_id: str, now: datetime | None = None) -> int:
    """How many decisions were carried out."""
    async with ctx.pool.acquire() as conn:
        rules = await policies.rules(conn, market_id, ctx.time_scale)
        assert rules is not None
        at = now or ctx.clock()
        sight = await market_sight.look(conn, rules, at, ctx.roster.unreachable(market_id))
    decide = POLICIES[rules.policy.offer_policy]
    decisions = decide(at, 1, rules.policy, sight.pending, sight.open_offers, sight.drivers, sight.history)
    async with transaction(ctx.pool) as conn:
        return await dispatching.carry_out(ctx, conn, rules, decisions, at)


async def open_offer_ids(ctx: Context, market_id: str) -> list[UUID]:
    rows = await ctx.pool.fetch(
        "select offer_id from offer where market_id = $1 and status = 'open' order by offer_id", market_id
    )
    return [row["offer_id"] for row in rows]
