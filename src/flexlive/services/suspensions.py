"""Taking a driver off the road, and back."""

from __future__ import annotations

from functools import partial

from flexlive.domain.deliveries import TERMINAL
from flexlive.domain.drivers import DriverStatus, Presence
from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.protocol import ops_actions as wire
from flexlive.services.causes import Cause
from flexlive.services.context import Context
from flexlive.services.ops_actions import OpsCall, Result, carry_out
from flexlive.storage import drivers
from flexlive.storage import suspensions as rows
from flexlive.storage.events import NewEvent, append
from flexlive.storage.pool import Connection

SUSPENDED_KIND = "driver.suspended"


async def suspend(ctx: Context, call: OpsCall) -> wire.Action:
    """No offers any more, and every socket closes with 4530. What the driver holds stays on the route: the answer
    names it, so that it can be unassigned or transferred. FlexliveError: not_found, deactivated."""
    action = await carry_out(ctx, call, partial(_change, call, DriverStatus.SUSPENDED, DriverStatus.ACTIVE))
    ctx.principals.end(call.market_id, call.subject_id, ctx.monotonic())
    return action


async def reinstate(ctx: Context, call: OpsCall) -> wire.Action:
    """A suspended driver may work again; the phone has to connect and go online anew."""
    return await carry_out(ctx, call, partial(_change, call, DriverStatus.ACTIVE, DriverStatus.SUSPENDED))


async def _change(
    call: OpsCall, to_status: DriverStatus, source: DriverStatus, conn: Connection, cause: Cause
) -> Result:
    market_id, driver_id = call.market_id, call.subject_id
    await drivers.lock(conn, market_id, [driver_id])
    standing = await rows.status(conn, market_id, driver_id)
    if standing is None:
        raise FlexliveError(ErrorCode.NOT_FOUND)
    status, presence = standing
    if status == DriverStatus.DEACTIVATED:
        raise FlexliveError(ErrorCode.DEACTIVATED)
    changed = await rows.set_status(conn, market_id, driver_id, to_status.value, [source.value], cause.received_at)
    if changed:
        await append(conn, market_id, _events(call, to_status, presence, cause))
    work = await rows.active_work(conn, market_id, driver_id, [each.value for each in TERMINAL])
    return {
        "status": to_status.value,
        "changed": changed,
        "deliveries": [{"delivery_id": row["delivery_id"], "status": row["status"]} for row in work],
    }


def _events(call: OpsCall, to_status: DriverStatus, presence: str, cause: Cause) -> list[NewEvent]:
    if to_status is DriverStatus.ACTIVE:
        return [cause.event("driver", call.subject_id, "driver.reinstated", {"status": to_status.value})]
    events = [cause.event("driver", call.subject_id, SUSPENDED_KIND, {"status": to_status.value})]
    if presence == Presence.ONLINE:
        gone = {"mode": Presence.OFFLINE.value, "filters": None}
        events.append(cause.event("driver", call.subject_id, "driver.presence", gone))
    return events
