"""Which sleeping phones are to be rung for the open offers of a market, and the right to ring each of them once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from flexlive.domain.wake_ups import Attention, WakeRules, Wanted, audience
from flexlive.services.context import Context
from flexlive.services.market_sight import driver_view, open_views
from flexlive.services.wake_push import Target
from flexlive.storage import leases, offers, push_targets, wake_rings
from flexlive.storage.leases import Lease
from flexlive.storage.transaction import transaction
from flexlive.storage.wake_rings import Claimed, RingReason


@dataclass(frozen=True, slots=True)
class Phone:
    """A device of a driver's, with where to ring it. kind: whose push service."""

    kind: str
    device_id: str
    target: Target
    registered_at: datetime


@dataclass(frozen=True, slots=True)
class Ringing:
    """A ring this process has the right to. phones: the one registered last first."""

    claimed: Claimed
    phones: Sequence[Phone]


async def look(ctx: Context, market_id: str, attention: Attention, rules: WakeRules) -> list[Wanted]:
    """One look at a market's open offers: whom to ring now."""
    now = ctx.monotonic()
    reachable = ctx.roster.connected(market_id) - ctx.roster.unreachable(market_id)
    attention.look(now, reachable, whole=ctx.bus.connected)
    pairs: list[tuple[UUID, UUID]] = []
    gone: set[UUID] = set()
    async with ctx.pool.acquire() as conn:
        market_rules = await ctx.rules.get(conn, market_id, now)
        opened = await offers.open_now(conn, market_id)
        offer_ids = [row["offer_id"] for row in opened]
        heard_after = ctx.clock() - timedelta(seconds=market_rules.policy.position_stale_seconds)
        rows = await wake_rings.drivers_to_wake(conn, market_id, offer_ids, heard_after) if offer_ids else []
        if rows:
            fleet = [driver_view(row, market_rules) for row in rows]
            done = await wake_rings.seen_or_rung(conn, market_id, offer_ids)
            for offer in await open_views(conn, market_rules, opened):
                pairs += [
                    pair for driver_id in audience(offer, fleet) if (pair := (offer.offer_id, driver_id)) not in done
                ]
            gone_since = ctx.clock() - timedelta(seconds=rules.gone_seconds)
            gone = {driver.driver_id for driver in fleet if driver.positioned_at <= gone_since}
    return attention.judge(now, pairs, gone)


async def claim(ctx: Context, lease: Lease, wanted: Sequence[Wanted], seconds_left_min: float) -> list[Ringing]:
    """The right to ring for one offer, asked of the database in the last moment: each (offer, driver) is given once,
    ever, to the holder of the lease, while the offer stands. Ring at once. wanted: all of the same offer."""
    async with transaction(ctx.pool) as conn:
        if not await leases.hold(conn, lease):
            return []
        drivers: list[tuple[UUID, RingReason]] = [(each.driver_id, each.reason) for each in wanted]
        claimed = await wake_rings.claim(conn, lease.market_id, wanted[0].offer_id, drivers, seconds_left_min)
        rows = await push_targets.living(conn, lease.market_id, [each.driver_id for each in claimed])
    phones: Mapping[UUID, list[Phone]] = defaultdict(list)
    for row in rows:
        target = Target(row["address"], row["keys"])
        phones[row["driver_id"]].append(Phone(row["kind"], row["device_id"], target, row["registered_at"]))
    return [Ringing(each, phones[each.driver_id]) for each in claimed]
