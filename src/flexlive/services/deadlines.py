"""More time for a delivery: its driver and its customer see the new window at once."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

from flexlive.domain.deliveries import TERMINAL, DeliveryStatus
from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.protocol import ops_actions as wire
from flexlive.services.causes import Cause, by_system
from flexlive.services.context import Context
from flexlive.services.delivery_events import OWN_LEG
from flexlive.services.delivery_lock import LockedDelivery, lock_delivery
from flexlive.services.ops_actions import OpsCall, Result, carry_out, illegal
from flexlive.services.route_view import route_view
from flexlive.storage import deadlines as rows
from flexlive.storage import drivers, route_writes, routes
from flexlive.storage.events import NewEvent, append
from flexlive.storage.pool import Connection, Record

DEADLINE_DAYS_MAX: Final = 30
EXTENDED_KIND: Final = "delivery.deadline_extended"


async def extend(ctx: Context, call: OpsCall, body: wire.Extend) -> wire.Action:
    """Later deadlines for a delivery that is not over. The same ones again change nothing.

    FlexliveError: not_found, invalid (nothing asked), illegal_transition (over), pickup_window_invalid (earlier than
    before, or not in order).
    """
    if body.pickup_deadline_at is None and body.dropoff_deadline_at is None:
        raise FlexliveError(ErrorCode.INVALID, "name a deadline")
    return await carry_out(ctx, call, partial(_extend, call, body))


async def _extend(call: OpsCall, body: wire.Extend, conn: Connection, cause: Cause) -> Result:
    market_id, delivery_id = call.market_id, call.subject_id
    locked = await lock_delivery(conn, market_id, delivery_id)
    if locked is None:
        raise FlexliveError(ErrorCode.NOT_FOUND)
    if locked.row["status"] in TERMINAL:
        raise illegal(locked.row["status"], "it is over")
    pickup, dropoff = _judge(locked.row, body, cause.received_at)
    changed = (pickup, dropoff) != (locked.row["pickup_deadline_at"], locked.row["dropoff_deadline_at"])
    if changed:
        row = await rows.extend(conn, market_id, delivery_id, pickup, dropoff)
        if row is None:
            raise AssertionError("a delivery under lock is not there")
        await append(conn, market_id, await _events(conn, locked, row, pickup, dropoff, cause))
    return {"pickup_deadline_at": pickup, "dropoff_deadline_at": dropoff, "changed": changed}


def _judge(row: Record, body: wire.Extend, now: datetime) -> tuple[datetime | None, datetime]:
    """(pickup deadline, delivery deadline) as they will be."""
    pickup: datetime | None = body.pickup_deadline_at or row["pickup_deadline_at"]
    dropoff: datetime = body.dropoff_deadline_at or row["dropoff_deadline_at"]
    before_pickup: datetime | None = row["pickup_deadline_at"]
    if before_pickup is not None and pickup is not None and pickup < before_pickup:
        raise FlexliveError(ErrorCode.PICKUP_WINDOW_INVALID, "the pickup deadline would be earlier than before")
    if dropoff < row["dropoff_deadline_at"]:
        raise FlexliveError(ErrorCode.PICKUP_WINDOW_INVALID, "the delivery deadline would be earlier than before")
    if pickup is not None and not row["pickup_ready_at"] <= pickup <= dropoff:
        raise FlexliveError(ErrorCode.PICKUP_WINDOW_INVALID, "ready, pickup and delivery must come in this order")
    if dropoff > now + timedelta(days=DEADLINE_DAYS_MAX):
        raise FlexliveError(ErrorCode.PICKUP_WINDOW_INVALID, f"at most {DEADLINE_DAYS_MAX} days from now")
    return pickup, dropoff


async def _events(
    conn: Connection,
    locked: LockedDelivery,
    row: Record,
    pickup: datetime | None,
    dropoff: datetime,
    cause: Cause,
) -> list[NewEvent]:
    delivery_id: UUID = row["delivery_id"]
    driver_id: UUID | None = locked.row["driver_id"]
    update = {name: row[name] for name in ("delivery_id", "status", "readiness", "version")}
    deadlines = {"pickup_deadline_at": pickup, "dropoff_deadline_at": dropoff}
    told = {"driver_id": driver_id, "update": update, **deadlines}
    events = [cause.event("delivery", delivery_id, EXTENDED_KIND, told)]
    courier = None
    if driver_id is not None and DeliveryStatus(row["status"]) in OWN_LEG:
        courier = {"first_name": await drivers.first_name(conn, locked.market_id, driver_id)}
    window = {"ready_at": locked.row["dropoff_ready_at"], "deadline_at": dropoff}
    shown = {"status": row["status"], "at": locked.row["status_at"], "courier": courier, "window": window}
    events.append(by_system(cause.received_at).event("track", delivery_id, "track.window", shown))
    if locked.route is not None:
        # The phone shows windows of stops; they belong to the route.
        await route_writes.advance(conn, locked.market_id, locked.route.route_id)
        [sheet] = await routes.sheets(conn, locked.market_id, [locked.route.route_id])
        route = {"driver_id": locked.route.driver_id, "route": route_view(sheet)}
        events.append(cause.event("route", locked.route.route_id, "route.advanced", route))
    return events
