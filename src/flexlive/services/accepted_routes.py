"""Won offers become routes: stops planned, rows written, facts appended; for one winner or for a batch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from flexlive.domain import cells
from flexlive.domain.deliveries import DeliveryStatus
from flexlive.domain.geography import Point
from flexlive.domain.pay import split_pay
from flexlive.domain.routes import PlanDelivery, PlanSite, PlanStore, plan_stops
from flexlive.domain.stops import RouteStatus, StopStatus
from flexlive.services.causes import by_driver
from flexlive.services.context import Context
from flexlive.services.delivery_events import delivery_events
from flexlive.services.route_view import route_view
from flexlive.storage import offers
from flexlive.storage.events import NewEvent, append
from flexlive.storage.offers import Acceptance, NewPay, NewStop
from flexlive.storage.pool import Connection, Record
from flexlive.storage.routes import RouteSheet


def cells_on_wire(offer_cells: Iterable[int]) -> list[str]:
    """Cells as the wire has them: lowercase hex."""
    return [cells.to_wire(cell) for cell in offer_cells]


async def write(
    ctx: Context, conn: Connection, market_id: str, won: Sequence[Acceptance], work: Sequence[Record]
) -> None:
    """Make the decided winners durable, in the caller's transaction that holds every lock.

    work: rows of storage.offers.lock_deliveries for exactly the won offers.
    """
    by_offer: defaultdict[UUID, list[Record]] = defaultdict(list)
    for row in sorted(work, key=lambda row: row["sequence"]):
        by_offer[row["offer_id"]].append(row)
    planned = {each.offer_id: _plan(ctx, each, by_offer[each.offer_id]) for each in won}
    pay = [each for offer in won for each in _pay(by_offer[offer.offer_id])]
    moved = await offers.accept(conn, market_id, won, [stop for stops in planned.values() for stop in stops], pay)
    if moved != (len(won), len(work)):
        # The locks make this impossible; should it happen, nobody has won anything.
        raise AssertionError(f"accepted {moved}, decided {(len(won), len(work))}")
    events: list[NewEvent] = []
    for each in won:
        sheet = _sheet(each, planned[each.offer_id], by_offer[each.offer_id])
        cause = by_driver(each.driver_id, each.accepted_at, each.accepted_at)
        data = {"offer_id": each.offer_id, "driver_id": each.driver_id}
        events.append(cause.event("offer", each.offer_id, "offer.accepted", data))
        for delivery in sheet.deliveries.values():
            events.extend(delivery_events(delivery, each.driver_id, None, cause))
        shown = {"driver_id": each.driver_id, "route": route_view(sheet)}
        events.append(cause.event("route", each.route_id, "route.created", shown))
    await append(conn, market_id, events)


def _plan(ctx: Context, won: Acceptance, rows: Sequence[Record]) -> list[NewStop]:
    site = rows[0]
    stores = {row["store_id"]: PlanStore(row["store_id"], row["store_floor"], row["store_unit"]) for row in rows}
    plan = plan_stops(
        [
            PlanDelivery(row["delivery_id"], row["store_id"], Point(row["dropoff_lat"], row["dropoff_lon"]))
            for row in rows
        ],
        PlanSite(site["site_id"], Point(site["entrance_lat"], site["entrance_lon"]), site["geofence_radius_m"]),
        stores.values(),
    )
    return [
        NewStop(
            stop_id=ctx.new_id(),
            route_id=won.route_id,
            sequence=stop.sequence,
            kind=stop.kind.value,
            site_id=stop.site_id,
            store_id=stop.store_id,
            delivery_ids=stop.delivery_ids,
            lat=stop.point.lat,
            lon=stop.point.lon,
            geofence_radius_m=stop.geofence_radius_m,
        )
        for stop in plan
    ]


def _pay(rows: Sequence[Record]) -> list[NewPay]:
    """The offer's pay, divided over its deliveries in the order they were offered."""
    shares = split_pay(rows[0]["offer_base_cents"], rows[0]["offer_distance_cents"], len(rows))
    return [
        NewPay(row["delivery_id"], share.base_cents, share.distance_cents)
        for row, share in zip(rows, shares, strict=True)
    ]


def _sheet(won: Acceptance, stops: Sequence[NewStop], rows: Sequence[Record]) -> RouteSheet:
    """The route as the write has just made it: what reading it back would give, without the reading."""
    route = {
        "route_id": won.route_id,
        "driver_id": won.driver_id,
        "offer_id": won.offer_id,
        "status": RouteStatus.ACTIVE.value,
        "version": 1,
    }
    at_store = {row["store_id"]: row for row in rows}
    return RouteSheet(
        route=_record(route),
        stops=tuple(_stop(stop, at_store.get(stop.store_id, rows[0])) for stop in stops),
        deliveries={
            row["delivery_id"]: _record(
                {
                    **dict(row.items()),
                    "status": DeliveryStatus.CONFIRMED.value,
                    "version": row["version"] + 1,
                    "route_id": won.route_id,
                    "pay_return_cents": None,
                }
            )
            for row in sorted(rows, key=lambda row: row["delivery_id"])
        },
        packages={
            row["delivery_id"]: tuple(
                _record({**package, "package_id": UUID(package["package_id"])}) for package in row["packages"] or ()
            )
            for row in rows
        },
    )


def _stop(stop: NewStop, place: Record) -> Record:
    return _record(
        {
            **dict(place.items()),
            "stop_id": stop.stop_id,
            "sequence": stop.sequence,
            "kind": stop.kind,
            "status": StopStatus.PENDING.value,
            "site_id": stop.site_id,
            "store_id": stop.store_id,
            "delivery_ids": stop.delivery_ids,
            "lat": stop.lat,
            "lon": stop.lon,
            "geofence_radius_m": stop.geofence_radius_m,
        }
    )


def _record(row: Mapping[str, Any]) -> Record:
    # A dict gives values by column name as a row does; nothing here asks by position.
    return cast("Record", row)
