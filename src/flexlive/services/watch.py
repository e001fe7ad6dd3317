"""What a rule does when nobody else does: orders without a driver, incidents without a decision, alerts without a
reason. Each in a short transaction of its own that locks, looks again and holds the lease."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from flexlive.domain.alerts import AlertKind
from flexlive.domain.deliveries import TERMINAL, DeliveryStatus, UndeliverableAction
from flexlive.domain.incidents import fallback
from flexlive.domain.reasons import ReasonCode
from flexlive.services import alerts, cancellations, incidents, silence
from flexlive.services.causes import by_system
from flexlive.services.context import Context
from flexlive.services.delivery_lock import lock_delivery
from flexlive.storage import alerts as alert_rows
from flexlive.storage import leases
from flexlive.storage import watch as rows
from flexlive.storage.failures import unreachable
from flexlive.storage.leases import Lease
from flexlive.storage.policies import MarketRules
from flexlive.storage.pool import Connection, Record
from flexlive.storage.transaction import transaction

ROWS_MAX: Final = 100
"""Of each kind in one look; the next look takes the rest."""
ALWAYS: Final = datetime.min.replace(tzinfo=UTC)
_log = structlog.get_logger()


async def look(ctx: Context, lease: Lease, now: datetime, listening_since: datetime = ALWAYS) -> int:
    """One look at a market; how many things were done. listening_since: from when on drivers could be heard."""
    rules = await ctx.rules.get(ctx.pool, lease.market_id, ctx.monotonic())
    done = await silence.look(ctx, lease, rules, now, listening_since)
    done += await _cancel_overdue(ctx, lease, rules, now)
    done += await _decide_incidents(ctx, lease, rules, now)
    done += await _tell_of_unplaced(ctx, lease, rules, now)
    return done + await _settle_alerts(ctx, lease, now)


async def _cancel_overdue(ctx: Context, lease: Lease, rules: MarketRules, now: datetime) -> int:
    """An order nobody took by its pickup deadline (else its delivery deadline) and the policy's grace is cancelled."""
    market_id = lease.market_id
    before = now - timedelta(seconds=rules.policy.no_driver_cancel_seconds)

    async def act(conn: Connection, delivery_id: UUID) -> bool:
        locked = await lock_delivery(conn, market_id, delivery_id)
        if locked is None or not _is_overdue(locked.row["status"], _deadline(locked.row), before):
            return False
        cause = by_system(now, ReasonCode.NO_DRIVER_FOUND)
        return (await cancellations.cancel_locked(ctx, conn, locked, cause)).ok

    return await _each(ctx, lease, await rows.overdue(ctx.pool, market_id, before, ROWS_MAX), act)


async def _decide_incidents(ctx: Context, lease: Lease, rules: MarketRules, now: datetime) -> int:
    """An incident that no operator decided in time goes the way its order asked for."""
    market_id = lease.market_id
    before = now - timedelta(seconds=rules.policy.incident_decision_seconds)

    async def act(conn: Connection, delivery_id: UUID) -> bool:
        locked = await lock_delivery(conn, market_id, delivery_id)
        # An operator may have been quicker, by a decision or by resolving the alert.
        if locked is None or not await rows.is_undecided(conn, market_id, delivery_id, before):
            return False
        resolution = fallback(UndeliverableAction(locked.row["undeliverable_action"]))
        answer = await incidents.resolve(ctx, conn, locked, resolution, by_system(now, locked.row["reason_code"]))
        if answer.ok:
            ended = f"timed_out: {resolution.value}"
            await alerts.resolve(conn, market_id, [AlertKind.INCIDENT], delivery_id, at=now, resolution=ended)
        return answer.ok

    return await _each(ctx, lease, await rows.undecided(ctx.pool, market_id, before, ROWS_MAX), act)


async def _each(
    ctx: Context, lease: Lease, found: Sequence[UUID], act: Callable[[Connection, UUID], Awaitable[bool]]
) -> int:
    """One transaction each; one that cannot be done does not keep the others waiting."""
    done = 0
    for delivery_id in found:
        try:
            async with transaction(ctx.pool) as conn:
                if not await leases.hold(conn, lease):
                    return done
                done += await act(conn, delivery_id)
        except Exception as error:
            if unreachable(error):
                raise
            _log.warning("watch_step_failed", market_id=lease.market_id, delivery_id=delivery_id, error=repr(error))
        else:
            ctx.committed(lease.market_id)
    return done


async def _tell_of_unplaced(ctx: Context, lease: Lease, rules: MarketRules, now: datetime) -> int:
    """Ready at the counter and offered for as long as an offer stands, but still nobody's: operators may help."""
    before = now - timedelta(seconds=rules.policy.offer_ttl_seconds)
    unplaced = await rows.unplaced(ctx.pool, lease.market_id, now, before, ROWS_MAX)
    if not unplaced:
        return 0
    raised = 0
    async with transaction(ctx.pool) as conn:
        if not await leases.hold(conn, lease):
            return 0
        for row in unplaced:
            raised += await alerts.raise_alert(
                conn,
                lease.market_id,
                AlertKind.NO_DRIVER,
                row["delivery_id"],
                delivery_id=row["delivery_id"],
                detail={"deadline_at": _deadline(row)},
                at=now,
                new_id=ctx.new_id,
            )
    return raised


async def _settle_alerts(ctx: Context, lease: Lease, now: datetime) -> int:
    """Alerts whose reason has gone by itself."""
    settled = await alert_rows.settled(ctx.pool, lease.market_id, [each.value for each in TERMINAL], ROWS_MAX)
    if not settled:
        return 0
    async with transaction(ctx.pool) as conn:
        if not await leases.hold(conn, lease):
            return 0
        for row in settled:
            await alert_rows.resolve(
                conn, lease.market_id, row["alert_id"], now, alerts.SYSTEM, f"settled: {row['status']}"
            )
    return len(settled)


def _deadline(row: Record) -> datetime:
    return row["pickup_deadline_at"] or row["dropoff_deadline_at"]


def _is_overdue(status: str, deadline_at: datetime, before: datetime) -> bool:
    return status == DeliveryStatus.CREATED and deadline_at <= before
