"""Won offers become routes: stops planned, rows written, facts appended; for one winner or for a batch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from uuid import UUID

from flexlive.domain import cells
from flexlive.domain.geography import Point
from flexlive.domain.routes import PlanDelivery, PlanSite, PlanStore, plan_stops
from flexlive.services.causes import by_driver
from flexlive.services.context import Context
from flexlive.services.delivery_events import delivery_events
from flexlive.services.route_view import route_view
from flexlive.storage import offers, routes
from flexlive.storage.events import NewEvent, append
from flexlive.storage.offers import Acceptance
from flexlive.storage.pool import Connection, Record
from flexlive.storage.routes import NewStop


def cells_on_wire(offer_cells: Iterable[int]) -> list[str]:
    """Cells as the wire has them: lowercase hex."""
    return [cells.to_wire(cell) for cell in offer_cells]


async def write(
    ctx: Context, conn: Connection, market_id: str, won: Sequence[Acceptance], work: Sequence[Record]
) -> None:
    """Make the decided winners durable, in the caller's transaction that holds every lock.

    work: rows of storage.offers.lock_deliveries for exactly the won offers.
    """
    moved = await offers.accept(conn, market_id, won)
    if moved != (len(won), len(work)):
        # The locks make this impossible; should it happen, nobody has won anything.
        raise AssertionError(f"accepted {moved}, decided {(len(won), len(work))}")
    await routes.insert_stops(conn, market_id, await _stops(ctx, conn, market_id, won, work))
    sheets = await routes.sheets(conn, market_id, [acceptance.route_id for acceptance in won])
    events: list[NewEvent] = []
    for acceptance, sheet in zip(won, sheets, strict=True):
        driver_id = acceptance.driver_id
        cause = by_driver(driver_id, acceptance.accepted_at, acceptance.accepted_at)
        data = {"offer_id": acceptance.offer_id, "driver_id": driver_id}
        events.append(cause.event("offer", acceptance.offer_id, "offer.accepted", data))
        for delivery in sheet.deliveries.values():
            events.extend(delivery_events(delivery, driver_id, None, cause))
        shown = {"driver_id": driver_id, "route": route_view(sheet)}
        events.append(cause.event("route", acceptance.route_id, "route.created", shown))
    await append(conn, market_id, events)


async def _stops(
    ctx: Context, conn: Connection, market_id: str, won: Sequence[Acceptance], work: Sequence[Record]
) -> list[NewStop]:
    places = await offers.places(conn, market_id, sorted({row["store_id"] for row in work}))
    by_offer: defaultdict[UUID, list[Record]] = defaultdict(list)
    for row in sorted(work, key=lambda row: row["sequence"]):
        by_offer[row["offer_id"]].append(row)
    stops: list[NewStop] = []
    for acceptance in won:
        rows = by_offer[acceptance.offer_id]
        site = places[rows[0]["store_id"]]
        plan = plan_stops(
            [
                PlanDelivery(row["delivery_id"], row["store_id"], Point(row["dropoff_lat"], row["dropoff_lon"]))
                for row in rows
            ],
            PlanSite(site["site_id"], Point(site["entrance_lat"], site["entrance_lon"]), site["geofence_radius_m"]),
            [
                PlanStore(store_id, places[store_id]["floor"], places[store_id]["unit"])
                for store_id in dict.fromkeys(row["store_id"] for row in rows)
            ],
        )
        stops.extend(
            NewStop(
                stop_id=ctx.new_id(),
                route_id=acceptance.route_id,
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
        )
    return stops
