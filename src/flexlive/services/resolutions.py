"""Operators' decisions about a delivery that went wrong: cancel it, decide its incident, call it lost."""

from __future__ import annotations

from functools import partial

from flexlive.domain.alerts import AlertKind
from flexlive.domain.deliveries import DeliveryStatus
from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.domain.incidents import Resolution
from flexlive.protocol import ops_actions as wire
from flexlive.services import alerts, cancellations, incidents
from flexlive.services.causes import Cause
from flexlive.services.context import Context
from flexlive.services.delivery_lock import lock_delivery
from flexlive.services.ops_actions import OpsCall, Result, carry_out, illegal, require
from flexlive.storage import deliveries
from flexlive.storage.pool import Connection


async def cancel(ctx: Context, call: OpsCall) -> wire.Action:
    """Before custody only; after the check-in the driver earns the partial pay. Doing it twice changes nothing.

    FlexliveError: not_found, illegal_transition.
    """
    return await carry_out(ctx, call, partial(_cancel, ctx, call))


async def resolve_incident(ctx: Context, call: OpsCall, body: wire.ResolveIncident) -> wire.Action:
    """What becomes of an undeliverable delivery. FlexliveError: not_found, illegal_transition."""
    return await carry_out(ctx, call, partial(_resolve, ctx, call, Resolution(body.resolution)))


async def lose(ctx: Context, call: OpsCall) -> wire.Action:
    """Packages that left the store and will not turn up. The end; refused while the store has them."""
    return await carry_out(ctx, call, partial(_resolve, ctx, call, Resolution.LOST))


async def _cancel(ctx: Context, call: OpsCall, conn: Connection, cause: Cause) -> Result:
    require(await cancellations.cancel(ctx, conn, call.market_id, call.subject_id, cause))
    await _settle(conn, call, [AlertKind.NO_DRIVER], cause, DeliveryStatus.CANCELLED.value)
    return {"status": DeliveryStatus.CANCELLED.value}


async def _resolve(ctx: Context, call: OpsCall, resolution: Resolution, conn: Connection, cause: Cause) -> Result:
    locked = await lock_delivery(conn, call.market_id, call.subject_id)
    if locked is None:
        raise FlexliveError(ErrorCode.NOT_FOUND)
    if resolution is not Resolution.LOST and locked.row["status"] != DeliveryStatus.UNDELIVERABLE:
        raise illegal(locked.row["status"], "there is no incident to decide")
    require(await incidents.resolve(ctx, conn, locked, resolution, cause))
    await _settle(conn, call, [AlertKind.INCIDENT], cause, resolution.value)
    after = await deliveries.get(conn, call.market_id, call.subject_id)
    return {"resolution": resolution.value, "status": None if after is None else after["status"]}


async def _settle(conn: Connection, call: OpsCall, kinds: list[AlertKind], cause: Cause, resolution: str) -> None:
    await alerts.resolve(
        conn,
        call.market_id,
        kinds,
        call.subject_id,
        at=cause.received_at,
        by=cause.actor_id or alerts.SYSTEM,
        resolution=resolution,
    )
