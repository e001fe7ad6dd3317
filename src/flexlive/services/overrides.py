"""What an operator vouches for: that a driver is at a stop, that a link must die, that codes may be tried again."""

from __future__ import annotations

from functools import partial

from flexlive.domain.alerts import AlertKind
from flexlive.domain.check_in import CheckInMethod
from flexlive.domain.deliveries import DeliveryStatus
from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.domain.routes import on_check_in
from flexlive.protocol import ops_actions as wire
from flexlive.services import route_steps, tracking
from flexlive.services.causes import Cause
from flexlive.services.context import Context
from flexlive.services.ops_actions import OpsCall, Result, carry_out, illegal, require
from flexlive.storage import alerts as alert_rows
from flexlive.storage import custody, deliveries, drivers, routes
from flexlive.storage.pool import Connection, Record
from flexlive.storage.routes import NewCheckIn


async def check_in(ctx: Context, call: OpsCall) -> wire.Action:
    """The driver is at the stop although the phone cannot show it; kept as evidence with method `ops`.

    FlexliveError: not_found, illegal_transition (another stop comes first).
    """
    return await carry_out(ctx, call, partial(_check_in, ctx, call))


async def revoke_link(ctx: Context, call: OpsCall) -> wire.Action:
    """Every tracking link of the delivery dies, and what is open on it closes. FlexliveError: not_found."""
    return await carry_out(ctx, call, partial(_revoke_link, call))


async def resolve_alert(ctx: Context, call: OpsCall) -> wire.Action:
    """Seen and done. The first to resolve it stands. One about used-up attempts grants new ones; an incident is
    resolved by deciding it. FlexliveError: not_found, illegal_transition."""
    return await carry_out(ctx, call, partial(_resolve_alert, call))


async def _check_in(ctx: Context, call: OpsCall, conn: Connection, cause: Cause) -> Result:
    market_id, stop_id = call.market_id, call.subject_id
    found = await routes.of_stop(conn, market_id, stop_id)
    if found is None:
        raise FlexliveError(ErrorCode.NOT_FOUND)
    driver_id = found[1]
    await drivers.lock(conn, market_id, [driver_id])
    locked = await route_steps.lock_by_stop(conn, market_id, driver_id, stop_id)
    if locked is None:
        raise FlexliveError(ErrorCode.NOT_FOUND)
    require(
        await route_steps.take(ctx, conn, locked, lambda stops, statuses: on_check_in(stops, stop_id, statuses), cause)
    )
    evidence = NewCheckIn(
        stop_id=stop_id,
        driver_id=driver_id,
        method=CheckInMethod.OPS.value,
        occurred_at=cause.occurred_at,
        received_at=cause.received_at,
    )
    await routes.insert_check_in(conn, market_id, evidence)
    return {"route_id": locked.route_id, "driver_id": driver_id}


async def _revoke_link(call: OpsCall, conn: Connection, cause: Cause) -> Result:
    if await deliveries.lock(conn, call.market_id, call.subject_id) is None:
        raise FlexliveError(ErrorCode.NOT_FOUND)
    return {"links": await tracking.revoke(conn, call.market_id, call.subject_id, cause)}


async def _resolve_alert(call: OpsCall, conn: Connection, cause: Cause) -> Result:
    market_id = call.market_id
    alert = await alert_rows.get(conn, market_id, call.subject_id)
    if alert is None:
        raise FlexliveError(ErrorCode.NOT_FOUND)
    if alert["kind"] == AlertKind.INCIDENT and alert["resolved_at"] is None:
        await _refuse_undecided(conn, market_id, alert)
    if alert["kind"] == AlertKind.ATTEMPTS_EXHAUSTED and alert["resolved_at"] is None:
        await _grant_attempts(conn, market_id, alert)
    by = cause.actor_id or "ops"
    resolution = call.body.note or call.body.reason_code.value
    ended = await alert_rows.resolve(conn, market_id, call.subject_id, cause.received_at, by, resolution)
    return {"kind": alert["kind"], "changed": ended}


async def _refuse_undecided(conn: Connection, market_id: str, alert: Record) -> None:
    row = await deliveries.get(conn, market_id, alert["subject_id"])
    if row is not None and row["status"] == DeliveryStatus.UNDELIVERABLE:
        raise illegal(row["status"], "decide the incident, that resolves the alert")


async def _grant_attempts(conn: Connection, market_id: str, alert: Record) -> None:
    """The alert is about the delivery whose PIN, or the stop whose code was tried too often."""
    if alert["driver_id"] is not None:
        await drivers.lock(conn, market_id, [alert["driver_id"]])
    if alert["delivery_id"] == alert["subject_id"]:
        await custody.reset_pin_attempts(conn, market_id, alert["subject_id"])
    else:
        await routes.reset_code_attempts(conn, market_id, alert["subject_id"])
