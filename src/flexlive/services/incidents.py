"""What goes wrong on the way to the customer: reported by the driver, decided by a rule or by operators."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from flexlive.domain.alerts import AlertKind
from flexlive.domain.deliveries import TO_CUSTOMER, DeliveryStatus, UndeliverableAction
from flexlive.domain.incidents import INCIDENT_REASONS, Resolution, decide, on_incident, on_resolve
from flexlive.domain.reasons import ReasonCode
from flexlive.protocol.driver import IncidentReport
from flexlive.services import alerts, route_steps
from flexlive.services.answers import Answer
from flexlive.services.causes import Cause, by_driver
from flexlive.services.context import Context
from flexlive.services.delivery_lock import LockedDelivery
from flexlive.services.drivers import DriverPrincipal
from flexlive.services.route_steps import NOT_FOUND, LockedRoute
from flexlive.storage import route_writes
from flexlive.storage.pool import Connection, Record


async def report(
    ctx: Context, conn: Connection, principal: DriverPrincipal, command: IncidentReport, now: datetime
) -> Answer:
    """This delivery cannot be made now. The answer's `current` says what follows: `resolution`, or null while
    operators decide, and the status it has now."""
    if command.reason_code not in {reason.value for reason in INCIDENT_REASONS}:
        return Answer("invalid", {"field": "reason_code"})
    locked = await route_steps.lock_by_delivery(conn, principal.market_id, principal.driver_id, command.delivery_id)
    if locked is None:
        return NOT_FOUND
    row = locked.sheet.deliveries[command.delivery_id]
    status = locked.statuses[command.delivery_id]
    if status not in TO_CUSTOMER:
        return Answer("illegal_transition", {"status": status.value})
    rules = await ctx.rules.get(conn, principal.market_id, ctx.monotonic())
    decision = decide(
        ReasonCode(command.reason_code),
        UndeliverableAction(row["undeliverable_action"]),
        row["attempts"] + 1,
        rules.policy,
        must_be_attended=must_be_attended(row),
    )
    answer = await route_steps.take(
        ctx,
        conn,
        locked,
        lambda stops, statuses: on_incident(stops, command.delivery_id, statuses, decision, store_id=row["store_id"]),
        by_driver(principal.driver_id, now, now, command.reason_code),
        {DeliveryStatus.UNDELIVERABLE: {"note": command.note, "resolution": decision}},
    )
    if not answer.ok:
        return answer
    if decision in (None, Resolution.RETRY):
        await _ask_operators(ctx, conn, locked, command, decision, now)
    return Answer("ok", {"resolution": None if decision is None else decision.value})


async def resolve(
    ctx: Context, conn: Connection, locked: LockedDelivery, resolution: Resolution, cause: Cause
) -> Answer:
    """Operators, or the system when they were silent, decide. The caller holds the delivery, and ends its alert.

    LEAVE_AT_DOOR lets the driver `deliver{left_at}`; refused where someone of age has to take it."""
    route, delivery_id = locked.route, locked.delivery_id
    if route is None or delivery_id not in route.statuses:
        return Answer("illegal_transition", {"status": locked.row["status"]})
    row = route.sheet.deliveries[delivery_id]
    if resolution is Resolution.LEAVE_AT_DOOR:
        if must_be_attended(row):
            return Answer("illegal_transition", {"status": row["status"], "min_age": True})
        if route.statuses[delivery_id] is DeliveryStatus.UNDELIVERABLE:
            await route_writes.allow_leaving(conn, locked.market_id, delivery_id)
    return await route_steps.take(
        ctx,
        conn,
        route,
        lambda stops, statuses: on_resolve(stops, delivery_id, statuses, resolution, store_id=row["store_id"]),
        cause,
    )


def must_be_attended(row: Record) -> bool:
    """Someone of age has to take it."""
    return row["dropoff_verification"].get("min_age") is not None


async def _ask_operators(
    ctx: Context,
    conn: Connection,
    locked: LockedRoute,
    command: IncidentReport,
    decision: Resolution | None,
    now: datetime,
) -> None:
    delivery_id: UUID = command.delivery_id
    await alerts.raise_alert(
        conn,
        locked.market_id,
        AlertKind.INCIDENT,
        delivery_id,
        delivery_id=delivery_id,
        route_id=locked.route_id,
        driver_id=locked.driver_id,
        detail={"reason_code": command.reason_code, "note": command.note, "suggested": decision},
        at=now,
        new_id=ctx.new_id,
    )
