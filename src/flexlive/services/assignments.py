"""Giving work to a driver by hand, taking it back, and offering it anew."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from uuid import UUID

from flexlive.domain.alerts import AlertKind
from flexlive.domain.deliveries import ASSIGNED_BEFORE_CUSTODY, DeliveryStatus
from flexlive.domain.door_order import path_m
from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.domain.geography import Point
from flexlive.domain.pay import PayRule, quote, split_pay
from flexlive.domain.routes import PlanDelivery, PlanSite, PlanStore, plan_stops
from flexlive.protocol import ops_actions as wire
from flexlive.services import alerts, forfeits
from flexlive.services.causes import Cause
from flexlive.services.chosen_drivers import Load, choose
from flexlive.services.context import Context
from flexlive.services.delivery_events import delivery_events
from flexlive.services.delivery_lock import LockedDelivery, lock_delivery
from flexlive.services.ops_actions import OpsCall, Result, carry_out, illegal, require
from flexlive.services.route_view import route_view
from flexlive.storage import assignments as rows
from flexlive.storage import offers, policies, routes
from flexlive.storage.events import NewEvent, append
from flexlive.storage.offers import NewStop
from flexlive.storage.pool import Connection, Record


@dataclass(frozen=True, slots=True)
class _Terms:
    """Cents; base without distance."""

    base_cents: int
    distance_cents: int
    wait_rate_cents_per_minute: int


async def assign(ctx: Context, call: OpsCall, body: wire.Assign) -> wire.Action:
    """The delivery is this driver's, without an offer; an offer that stands is withdrawn, and what else it held is
    offered again. FlexliveError: not_found, illegal_transition, not_eligible (with the reason), slots_full."""
    return await carry_out(ctx, call, partial(_assign, ctx, call, body))


async def unassign(ctx: Context, call: OpsCall) -> wire.Action:
    """Before custody only: back to waiting, and never offered to that driver again."""
    return await carry_out(ctx, call, partial(_unassign, ctx, call))


async def reoffer(ctx: Context, call: OpsCall) -> wire.Action:
    """A waiting delivery is taken out of its offer, if any, and offered anew under today's rules and pay."""
    return await carry_out(ctx, call, partial(_reoffer, call))


async def _assign(ctx: Context, call: OpsCall, body: wire.Assign, conn: Connection, cause: Cause) -> Result:
    market_id, delivery_id = call.market_id, call.subject_id
    locked = await _lock(conn, call, also=body.driver_id)
    if locked.row["status"] != DeliveryStatus.CREATED:
        raise illegal(locked.row["status"], "it has a driver already, or is over")
    if locked.row["readiness"] == "unavailable":
        raise illegal(locked.row["status"], "the store cannot supply it")
    [terms] = await rows.terms(conn, market_id, [delivery_id])
    slot = await choose(conn, market_id, body.driver_id, Load.of([terms]))
    events = await _withdraw(conn, market_id, locked, cause)
    pay = await _pay(ctx, conn, market_id, terms, body.base_cents)
    route_id = ctx.new_id()
    await rows.create_route(
        conn,
        market_id,
        route_id=route_id,
        driver_id=body.driver_id,
        slot=slot,
        wait_rate_cents_per_minute=pay.wait_rate_cents_per_minute,
        stops=_plan(ctx, route_id, terms),
        created_at=cause.received_at,
    )
    moved = await rows.confirm(
        conn,
        market_id,
        delivery_id,
        driver_id=body.driver_id,
        route_id=route_id,
        pay_base_cents=pay.base_cents,
        pay_distance_cents=pay.distance_cents,
        at=cause.received_at,
    )
    if moved is None:
        raise AssertionError("a waiting delivery under lock did not move")
    events.extend(delivery_events(moved, body.driver_id, None, cause))
    [sheet] = await routes.sheets(conn, market_id, [route_id])
    shown = {"driver_id": body.driver_id, "route": route_view(sheet)}
    events.append(cause.event("route", route_id, "route.created", shown))
    await append(conn, market_id, events)
    await _driver_found(conn, call, cause)
    return {
        "route_id": route_id,
        "driver_id": body.driver_id,
        "base_cents": pay.base_cents + pay.distance_cents,
    }


async def _unassign(ctx: Context, call: OpsCall, conn: Connection, cause: Cause) -> Result:
    locked = await _lock(conn, call)
    if locked.route is None or locked.row["status"] not in ASSIGNED_BEFORE_CUSTODY:
        raise illegal(locked.row["status"], "no driver is on the way to pick it up")
    driver_id: UUID = locked.row["driver_id"]
    require(await forfeits.give_back(ctx, conn, locked.route, [call.subject_id], cause))
    return {"route_id": locked.route.route_id, "driver_id": driver_id}


async def _reoffer(call: OpsCall, conn: Connection, cause: Cause) -> Result:
    locked = await _lock(conn, call)
    if locked.row["status"] != DeliveryStatus.CREATED:
        raise illegal(locked.row["status"], "it is not waiting for a driver")
    events = await _withdraw(conn, call.market_id, locked, cause)
    await append(conn, call.market_id, events)
    return {"offer_id": None if locked.offer is None else locked.offer["offer_id"]}


async def _lock(conn: Connection, call: OpsCall, *, also: UUID | None = None) -> LockedDelivery:
    locked = await lock_delivery(conn, call.market_id, call.subject_id, also_drivers=() if also is None else (also,))
    if locked is None:
        raise FlexliveError(ErrorCode.NOT_FOUND)
    return locked


async def _withdraw(conn: Connection, market_id: str, locked: LockedDelivery, cause: Cause) -> list[NewEvent]:
    """End the offer that holds a waiting delivery; the event to append."""
    if locked.offer is None:
        return []
    offer_id: UUID = locked.offer["offer_id"]
    await offers.close(conn, market_id, offer_id, "withdrawn", cause.received_at)
    return [cause.event("offer", offer_id, "offer.withdrawn", {"offer_id": offer_id})]


async def _pay(ctx: Context, conn: Connection, market_id: str, terms: Record, base_cents: int | None) -> _Terms:
    """The pay rule's quote, or what the operator promised; never more distance than there is base."""
    rules = await ctx.rules.get(conn, market_id, ctx.monotonic())
    rule = (await policies.pay_rules(conn, market_id)).get(terms["offer_type"], PayRule())
    path = path_m(_entrance(terms), [_door(terms)])
    quoted = quote(
        rule,
        distance_m=path * rules.policy.detour_factor,
        deliveries=1,
        packages=terms["package_count"],
        tip_cents=terms["tip_cents"],
    )
    base = quoted.base_cents if base_cents is None else base_cents
    [share] = split_pay(base, min(base, quoted.distance_cents), 1)
    return _Terms(share.base_cents, share.distance_cents, quoted.wait_rate_cents_per_minute)


def _plan(ctx: Context, route_id: UUID, terms: Record) -> list[NewStop]:
    planned = plan_stops(
        [PlanDelivery(terms["delivery_id"], terms["store_id"], _door(terms))],
        PlanSite(terms["site_id"], _entrance(terms), terms["geofence_radius_m"]),
        [PlanStore(terms["store_id"], terms["store_floor"], terms["store_unit"])],
    )
    return [
        NewStop(
            stop_id=ctx.new_id(),
            route_id=route_id,
            sequence=stop.sequence,
            kind=stop.kind.value,
            site_id=stop.site_id,
            store_id=stop.store_id,
            delivery_ids=stop.delivery_ids,
            lat=stop.point.lat,
            lon=stop.point.lon,
            geofence_radius_m=stop.geofence_radius_m,
        )
        for stop in planned
    ]


async def _driver_found(conn: Connection, call: OpsCall, cause: Cause) -> None:
    await alerts.resolve(
        conn,
        call.market_id,
        [AlertKind.NO_DRIVER],
        call.subject_id,
        at=cause.received_at,
        by=cause.actor_id or alerts.SYSTEM,
        resolution="assigned",
    )


def _entrance(terms: Record) -> Point:
    return Point(terms["entrance_lat"], terms["entrance_lon"])


def _door(terms: Record) -> Point:
    return Point(terms["dropoff_lat"], terms["dropoff_lon"])
