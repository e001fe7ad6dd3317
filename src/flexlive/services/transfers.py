"""Packages on board that a second driver takes over: the meeting is arranged here, custody passes by that driver's scan
(`services/handovers`)."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID

from flexlive.domain.deliveries import CUSTODY
from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.domain.geography import Point
from flexlive.domain.pay import PayRule
from flexlive.domain.stops import StopKind, next_stop
from flexlive.protocol import ops_actions as wire
from flexlive.services import handovers
from flexlive.services.causes import Cause
from flexlive.services.chosen_drivers import Load, choose
from flexlive.services.context import Context
from flexlive.services.delivery_lock import LockedDelivery, lock_delivery
from flexlive.services.ops_actions import OpsCall, Result, carry_out, illegal, require
from flexlive.services.route_steps import LockedRoute
from flexlive.services.route_view import route_view
from flexlive.storage import assignments as rows
from flexlive.storage import inbox, policies, routes
from flexlive.storage.events import append
from flexlive.storage.offers import NewStop
from flexlive.storage.pool import Connection

REQUESTED_KIND: Final = "delivery.transfer_requested"
INBOX_DAYS: Final = 2


async def transfer(ctx: Context, call: OpsCall, body: wire.Transfer) -> wire.Action:
    """A route for the second driver with one stop, where the two meet; the first keeps custody until all is scanned.

    FlexliveError: not_found, illegal_transition (nothing on board), conflict (a transfer is arranged already; with its
    route), invalid (to the same driver, or no place is known), not_eligible, slots_full.
    """
    if (body.lat is None) != (body.lon is None):
        raise FlexliveError(ErrorCode.INVALID, "lat and lon come together")
    return await carry_out(ctx, call, partial(_transfer, ctx, call, body))


async def cancel_transfer(ctx: Context, call: OpsCall) -> wire.Action:
    """The first driver goes on alone. Refused once the second has scanned everything."""
    return await carry_out(ctx, call, partial(_cancel, ctx, call))


async def _transfer(ctx: Context, call: OpsCall, body: wire.Transfer, conn: Connection, cause: Cause) -> Result:
    market_id = call.market_id
    locked = await lock_delivery(conn, market_id, call.subject_id, also_drivers=(body.driver_id,))
    if locked is None:
        raise FlexliveError(ErrorCode.NOT_FOUND)
    if locked.route is None or locked.row["status"] not in CUSTODY:
        raise illegal(locked.row["status"], "no driver holds its packages")
    if locked.transfer is not None:
        raise FlexliveError(ErrorCode.CONFLICT, "a transfer is arranged already",
                            route_id=locked.transfer.route_id)  # fmt: skip
    if locked.row["driver_id"] == body.driver_id:
        raise FlexliveError(ErrorCode.INVALID, "that driver has it")
    on_board = _on_board(locked, locked.route, body.everything_on_board)
    terms = await rows.terms(conn, market_id, on_board)
    slot = await choose(conn, market_id, body.driver_id, Load.of(terms))
    where = await _meeting_point(ctx, conn, locked, locked.route, body)
    rules = await ctx.rules.get(conn, market_id, ctx.monotonic())
    pay_rule = (await policies.pay_rules(conn, market_id)).get(terms[0]["offer_type"], PayRule())
    route_id = ctx.new_id()
    stop = NewStop(
        stop_id=ctx.new_id(),
        route_id=route_id,
        sequence=1,
        kind=StopKind.HANDOVER.value,
        site_id=None,
        store_id=None,
        delivery_ids=tuple(on_board),
        lat=where.lat,
        lon=where.lon,
        geofence_radius_m=rules.policy.geofence_default_radius_m,
    )
    await rows.create_route(
        conn,
        market_id,
        route_id=route_id,
        driver_id=body.driver_id,
        slot=slot,
        wait_rate_cents_per_minute=pay_rule.wait_rate_cents_per_minute,
        stops=[stop],
        created_at=cause.received_at,
    )
    # What is part of another transfer already stays there.
    taken = await rows.begin_transfer(conn, market_id, on_board, route_id)
    if sorted(taken) != on_board:
        raise AssertionError("a delivery under lock got a transfer of its own")
    await _tell(conn, call, locked, route_id, stop, cause)
    return {"route_id": route_id, "driver_id": body.driver_id, "delivery_ids": on_board}


def _on_board(locked: LockedDelivery, route: LockedRoute, everything: bool) -> list[UUID]:
    """In id order. Those that another transfer waits for are left out."""
    if not everything:
        return [locked.delivery_id]
    return sorted(
        delivery_id
        for delivery_id, status in route.statuses.items()
        if status in CUSTODY and route.sheet.deliveries[delivery_id]["transfer_route_id"] is None
    )


async def _meeting_point(
    ctx: Context, conn: Connection, locked: LockedDelivery, route: LockedRoute, body: wire.Transfer
) -> Point:
    """As the operator says, else where the first driver is: seen here, stored, or on the way to the next stop."""
    if body.lat is not None and body.lon is not None:
        return Point(body.lat, body.lon)
    present = ctx.presence.get(locked.market_id, route.driver_id)
    if present is not None:
        return Point(present.position.lat, present.position.lon)
    stored = await rows.last_position(conn, locked.market_id, route.driver_id)
    if stored is not None:
        return Point(*stored)
    heading = next_stop(route.stops)
    stop = None if heading is None else route.stop(heading.stop_id)
    if stop is None:
        raise FlexliveError(ErrorCode.INVALID, "nobody knows where the driver is: say where the two meet")
    return Point(stop["lat"], stop["lon"])


async def _tell(
    conn: Connection, call: OpsCall, locked: LockedDelivery, route_id: UUID, stop: NewStop, cause: Cause
) -> None:
    """The second driver by the route, the first by the inbox, whoever reads the story by the deliveries."""
    [sheet] = await routes.sheets(conn, call.market_id, [route_id])
    first: UUID = locked.row["driver_id"]
    second: UUID = sheet.route["driver_id"]
    told = {"from_driver_id": first, "to_driver_id": second, "route_id": route_id}
    events = [cause.event("delivery", each, REQUESTED_KIND, told) for each in stop.delivery_ids]
    events.append(cause.event("route", route_id, "route.created", {"driver_id": second, "route": route_view(sheet)}))
    await append(conn, call.market_id, events)
    await inbox.put(
        conn,
        call.market_id,
        [first],
        "transfer.requested",
        {"delivery_ids": stop.delivery_ids, "lat": stop.lat, "lon": stop.lon, "reason_code": cause.reason_code},
        created_at=cause.received_at,
        expires_at=cause.received_at + timedelta(days=INBOX_DAYS),
    )


async def _cancel(ctx: Context, call: OpsCall, conn: Connection, cause: Cause) -> Result:
    locked = await lock_delivery(conn, call.market_id, call.subject_id)
    if locked is None:
        raise FlexliveError(ErrorCode.NOT_FOUND)
    if locked.transfer is None:
        raise illegal(locked.row["status"], "no transfer is under way")
    require(await handovers.call_off(ctx, conn, locked, cause))
    return {"route_id": locked.transfer.route_id}
