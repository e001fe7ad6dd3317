"""Routes as rows, read and locked: stops, deliveries and packages on board, check-ins. Writing is in route_writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from flexlive.storage.pool import Connection, Executor, Record
from flexlive.storage.queries import load

_sql = load("routes")


@dataclass(frozen=True, slots=True)
class RouteSheet:
    """A route with everything its driver may see, as rows: stops in order, deliveries, packages by delivery.

    Deliveries that wait at a hand-over to come onto this route are among them; their route_id is the other route's."""

    route: Record
    stops: tuple[Record, ...]
    deliveries: dict[UUID, Record]
    packages: dict[UUID, tuple[Record, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCheckIn:
    """Evidence of an arrival. Degrees, metres, aware UTC."""

    stop_id: UUID
    driver_id: UUID
    method: str
    occurred_at: datetime
    received_at: datetime
    lat: float | None = None
    lon: float | None = None
    accuracy_m: float | None = None
    distance_m: float | None = None


async def sheets(conn: Executor, market_id: str, route_ids: Sequence[UUID]) -> list[RouteSheet]:
    """These routes, whole; in the order asked for, unknown ones left out."""
    if not route_ids:
        return []
    routes = await conn.fetch(*_sql.routes.bind(market_id=market_id, route_ids=route_ids))
    found = {sheet.route["route_id"]: sheet for sheet in await _fill(conn, market_id, routes)}
    return [found[route_id] for route_id in route_ids if route_id in found]


async def active(conn: Executor, market_id: str, driver_ids: Sequence[UUID]) -> list[RouteSheet]:
    """The active routes of these drivers, whole."""
    routes = await conn.fetch(*_sql.active_routes.bind(market_id=market_id, driver_ids=driver_ids))
    return await _fill(conn, market_id, routes)


async def all_active(conn: Executor, market_id: str) -> list[RouteSheet]:
    """Every active route of the market, whole; for a process that starts."""
    return await _fill(conn, market_id, await conn.fetch(*_sql.all_active_routes.bind(market_id=market_id)))


async def _fill(conn: Executor, market_id: str, routes: Sequence[Record]) -> list[RouteSheet]:
    route_ids: list[UUID] = [route["route_id"] for route in routes]
    if not route_ids:
        return []
    stops: defaultdict[UUID, list[Record]] = defaultdict(list)
    for stop in await conn.fetch(*_sql.stops.bind(market_id=market_id, route_ids=route_ids)):
        stops[stop["route_id"]].append(stop)
    deliveries: defaultdict[UUID, dict[UUID, Record]] = defaultdict(dict)
    on_board: set[UUID] = set()
    for delivery in await conn.fetch(*_sql.route_deliveries.bind(market_id=market_id, route_ids=route_ids)):
        on_board.add(delivery["delivery_id"])
        for route_id in {delivery["route_id"], delivery["transfer_route_id"]}:
            deliveries[route_id][delivery["delivery_id"]] = delivery
    packages: defaultdict[UUID, list[Record]] = defaultdict(list)
    if on_board:
        for package in await conn.fetch(*_sql.route_packages.bind(market_id=market_id, delivery_ids=list(on_board))):
            packages[package["delivery_id"]].append(package)
    return [
        RouteSheet(
            route=route,
            stops=tuple(stops[route["route_id"]]),
            deliveries=deliveries[route["route_id"]],
            packages={delivery_id: tuple(packages[delivery_id]) for delivery_id in deliveries[route["route_id"]]},
        )
        for route in routes
    ]


async def of_stop(conn: Connection, market_id: str, stop_id: UUID) -> tuple[UUID, UUID] | None:
    """(route_id, driver_id) of a stop."""
    row = await conn.fetchrow(*_sql.route_of_stop.bind(market_id=market_id, stop_id=stop_id))
    return None if row is None else (row["route_id"], row["driver_id"])


async def of_delivery(conn: Connection, market_id: str, delivery_id: UUID) -> tuple[UUID, UUID] | None:
    """(route_id, driver_id) a delivery is on."""
    row = await conn.fetchrow(*_sql.route_of_delivery.bind(market_id=market_id, delivery_id=delivery_id))
    return None if row is None else (row["route_id"], row["driver_id"])


async def of_route(conn: Connection, market_id: str, route_id: UUID) -> tuple[UUID, UUID] | None:
    """(route_id, driver_id) of a route."""
    row = await conn.fetchrow(*_sql.route_of_route.bind(market_id=market_id, route_id=route_id))
    return None if row is None else (row["route_id"], row["driver_id"])


async def lock(conn: Connection, market_id: str, route_id: UUID) -> Record | None:
    """Lock the route's deliveries, then the route, and with them the routes it exchanges packages with, in id order.

    The row carries db_now read after the lock."""
    work = await conn.fetch(*_sql.lock_route_deliveries.bind(market_id=market_id, route_id=route_id))
    concerned = {route_id, *(row["route_id"] for row in work), *(row["transfer_route_id"] for row in work)} - {None}
    rows = await conn.fetch(*_sql.lock_routes.bind(market_id=market_id, route_ids=list(concerned)))
    return next((row for row in rows if row["route_id"] == route_id), None)


async def entrances(conn: Executor, market_id: str, site_ids: Sequence[UUID]) -> dict[UUID, Record]:
    """(site_id, entrance_lat, entrance_lon, geofence_radius_m) by site."""
    rows = await conn.fetch(*_sql.site_entrances.bind(market_id=market_id, site_ids=site_ids))
    return {row["site_id"]: row for row in rows}


async def insert_check_in(conn: Connection, market_id: str, check_in: NewCheckIn) -> None:
    await conn.execute(
        *_sql.insert_check_in.bind(
            market_id=market_id,
            stop_id=check_in.stop_id,
            driver_id=check_in.driver_id,
            method=check_in.method,
            occurred_at=check_in.occurred_at,
            received_at=check_in.received_at,
            lat=check_in.lat,
            lon=check_in.lon,
            accuracy_m=check_in.accuracy_m,
            distance_m=check_in.distance_m,
        )
    )


async def stop_codes(conn: Connection, market_id: str, stop_id: UUID) -> tuple[str | None, str | None]:
    """(check-in code of the site, hand-off code of the store) of a stop."""
    row = await conn.fetchrow(*_sql.stop_codes.bind(market_id=market_id, stop_id=stop_id))
    return (None, None) if row is None else (row["check_in_code"], row["handoff_code"])


async def count_code_attempt(conn: Connection, market_id: str, stop_id: UUID) -> int:
    """One more wrong code at this stop; returns the number of attempts."""
    row = await conn.fetchrow(*_sql.count_code_attempt.bind(market_id=market_id, stop_id=stop_id))
    return 0 if row is None else row["code_attempts"]


async def reset_code_attempts(conn: Connection, market_id: str, stop_id: UUID) -> None:
    """An operator has looked at it: the code may be tried again."""
    await conn.execute(*_sql.reset_code_attempts.bind(market_id=market_id, stop_id=stop_id))
