"""Drivers nobody hears of: operators are told first, and the work that is still at the store goes to somebody else.

A sign of life is the newest of: a stored position, a command, an open socket in any process, the route being new.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from flexlive.domain.alerts import AlertKind
from flexlive.domain.deliveries import ASSIGNED_BEFORE_CUSTODY
from flexlive.domain.reasons import ReasonCode
from flexlive.services import alerts, forfeits, route_steps
from flexlive.services.causes import by_system
from flexlive.services.context import Context
from flexlive.storage import drivers, leases
from flexlive.storage import watch as rows
from flexlive.storage.events import append
from flexlive.storage.failures import unreachable
from flexlive.storage.leases import Lease
from flexlive.storage.policies import MarketRules
from flexlive.storage.pool import Connection
from flexlive.storage.transaction import transaction
from flexlive.storage.watch import QuietRoute, SilentRoute

SILENT_KIND: Final = "route.driver_silent"
HEARD_KIND: Final = "route.driver_heard"
_log = structlog.get_logger()


async def look(ctx: Context, lease: Lease, rules: MarketRules, now: datetime, listening_since: datetime) -> int:
    """One look at everybody on a route; how many routes changed.

    Whoever is quiet because nobody listened is not silent: both limits begin at listening_since at the earliest."""
    heard_before = now - timedelta(seconds=rules.policy.driver_silent_seconds)
    gone_before = now - timedelta(seconds=rules.policy.driver_gone_seconds)
    async with ctx.pool.acquire() as conn:
        quiet = await rows.quiet(conn, lease.market_id, heard_before)
        silent = await rows.silent(conn, lease.market_id)
    quiet = _without_present(ctx, lease.market_id, quiet)
    still = {route.route_id for route in quiet}
    changed = 0
    for route in quiet:
        if route.silent_at is None and listening_since <= heard_before:
            changed += await _apart(route.route_id, _tell(ctx, lease, route, heard_before, now))
        elif route.silent_at is not None and max(route.silent_at, listening_since) <= gone_before:
            changed += await _apart(route.route_id, _give_back(ctx, lease, route, heard_before, now))
    for known in silent:
        if known.route_id not in still:
            changed += await _apart(known.route_id, _recover(ctx, lease, known, now))
    return changed


async def _apart(route_id: UUID, step: Awaitable[bool]) -> bool:
    """One route that cannot be helped does not keep the others waiting."""
    try:
        return await step
    except Exception as error:
        if unreachable(error):
            raise
        _log.warning("watch_step_failed", route_id=route_id, error=repr(error))
        return False


def _without_present(ctx: Context, market_id: str, quiet: Iterable[QuietRoute]) -> list[QuietRoute]:
    here = ctx.roster.connected(market_id)
    return [route for route in quiet if route.driver_id not in here]


async def _tell(ctx: Context, lease: Lease, route: QuietRoute, heard_before: datetime, now: datetime) -> bool:
    """Operators first: the route is marked and an alert opened; nothing else changes for the driver."""
    market_id = lease.market_id
    async with transaction(ctx.pool) as conn:
        if not await _hold(conn, lease, route, heard_before):
            return False
        if not await rows.mark_silent(conn, market_id, route.route_id, now):
            return False
        told = {"driver_id": route.driver_id, "heard_at": route.heard_at}
        event = by_system(now, ReasonCode.DRIVER_UNREACHABLE).event("route", route.route_id, SILENT_KIND, told)
        await append(conn, market_id, [event])
        await alerts.raise_alert(
            conn,
            market_id,
            AlertKind.DRIVER_SILENT,
            route.route_id,
            route_id=route.route_id,
            driver_id=route.driver_id,
            detail={"heard_at": route.heard_at},
            at=now,
            new_id=ctx.new_id,
        )
    ctx.committed(market_id)
    return True


async def _give_back(ctx: Context, lease: Lease, route: QuietRoute, heard_before: datetime, now: datetime) -> bool:
    """What is still at the store is offered to others; what is on board stays, and so does the alert."""
    market_id = lease.market_id
    async with transaction(ctx.pool) as conn:
        if not await _hold(conn, lease, route, heard_before):
            return False
        locked = await route_steps.lock_by_route(conn, market_id, route.driver_id, route.route_id)
        if locked is None or not any(status in ASSIGNED_BEFORE_CUSTODY for status in locked.statuses.values()):
            return False
        cause = by_system(now, ReasonCode.DRIVER_UNREACHABLE)
        given = (await forfeits.give_back(ctx, conn, locked, None, cause)).ok
    ctx.committed(market_id)
    return given


async def _recover(ctx: Context, lease: Lease, known: SilentRoute, now: datetime) -> bool:
    market_id = lease.market_id
    async with transaction(ctx.pool) as conn:
        if not await leases.hold(conn, lease):
            return False
        await drivers.lock(conn, market_id, [known.driver_id])
        if not await rows.mark_heard(conn, market_id, known.route_id):
            return False
        told = {"driver_id": known.driver_id, "silent_at": known.silent_at}
        await append(conn, market_id, [by_system(now).event("route", known.route_id, HEARD_KIND, told)])
        await alerts.resolve(
            conn, market_id, [AlertKind.DRIVER_SILENT], known.route_id, at=now, resolution="heard_again"
        )
    ctx.committed(market_id)
    return True


async def _hold(conn: Connection, lease: Lease, route: QuietRoute, heard_before: datetime) -> bool:
    """The lease and the driver's row; False when the lease is lost or the driver was heard of meanwhile."""
    if not await leases.hold(conn, lease):
        return False
    await drivers.lock(conn, lease.market_id, [route.driver_id])
    return any(each.route_id == route.route_id for each in await rows.quiet(conn, lease.market_id, heard_before))
