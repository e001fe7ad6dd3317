"""Where the stops lie that a step adds to a route, and what the way back to a store pays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from flexlive.domain.deliveries import DeliveryStatus
from flexlive.domain.geography import Point, distance_m
from flexlive.domain.pay import PayRule, return_cents
from flexlive.domain.route_drafts import AddedStop, Step
from flexlive.domain.stops import StopKind
from flexlive.services.context import Context
from flexlive.storage import policies, route_writes, routes
from flexlive.storage.pool import Connection, Record
from flexlive.storage.route_writes import AppendedStop

if TYPE_CHECKING:
    from flexlive.services.route_steps import LockedRoute


async def append(ctx: Context, conn: Connection, locked: LockedRoute, added: Sequence[AddedStop]) -> None:
    """Store the stops at the route's end: a door where its delivery goes, a return at its site's entrance."""
    rules = await ctx.rules.get(conn, locked.market_id, ctx.monotonic())
    rows = locked.sheet.deliveries
    sites = sorted({rows[stop.delivery_ids[0]]["site_id"] for stop in added if stop.kind is StopKind.RETURN})
    entrances = await routes.entrances(conn, locked.market_id, sites) if sites else {}
    last = max((row["sequence"] for row in locked.sheet.stops), default=0)
    door_radius_m = round(rules.policy.door_crossing_radius_m)
    await route_writes.append_stops(
        conn,
        locked.market_id,
        locked.route_id,
        [
            _placed(ctx.new_id(), last + place, stop, rows[stop.delivery_ids[0]], entrances, door_radius_m)
            for place, stop in enumerate(added, 1)
        ],
    )


async def quote_returns(ctx: Context, conn: Connection, locked: LockedRoute, step: Step) -> None:
    """What bringing back pays, stored before the way back begins: by road from the door to the site."""
    begun = [
        locked.sheet.deliveries[move.delivery_id]
        for move in step.transitions
        if move.from_status is DeliveryStatus.UNDELIVERABLE and move.to_status is DeliveryStatus.ENROUTE_TO_RETURN
    ]
    if not begun:
        return
    rules = await ctx.rules.get(conn, locked.market_id, ctx.monotonic())
    pay_rules = await policies.pay_rules(conn, locked.market_id)
    entrances = await routes.entrances(conn, locked.market_id, [row["site_id"] for row in begun])
    quoted: dict[UUID, int] = {}
    for row in begun:
        entrance = entrances[row["site_id"]]
        straight_m = distance_m(
            Point(row["dropoff_lat"], row["dropoff_lon"]), Point(entrance["entrance_lat"], entrance["entrance_lon"])
        )
        rule = pay_rules.get(row["offer_type"], PayRule())
        quoted[row["delivery_id"]] = return_cents(rule, straight_m * rules.policy.detour_factor)
    await route_writes.quote_returns(conn, locked.market_id, quoted)


def _placed(
    stop_id: UUID, sequence: int, stop: AddedStop, row: Record, entrances: dict[UUID, Record], door_radius_m: int
) -> AppendedStop:
    if stop.kind is StopKind.DOOR:
        site_id, lat, lon, radius_m = None, row["dropoff_lat"], row["dropoff_lon"], door_radius_m
    else:
        entrance = entrances[row["site_id"]]
        site_id, lat, lon = row["site_id"], entrance["entrance_lat"], entrance["entrance_lon"]
        radius_m = entrance["geofence_radius_m"]
    return AppendedStop(
        stop_id=stop_id,
        sequence=sequence,
        kind=stop.kind.value,
        site_id=site_id,
        store_id=stop.store_id,
        delivery_ids=stop.delivery_ids,
        lat=lat,
        lon=lon,
        geofence_radius_m=radius_m,
    )
