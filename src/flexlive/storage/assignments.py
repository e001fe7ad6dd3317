"""Work given to a driver by hand: routes without an offer, and the second route of a transfer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from flexlive.storage.offers import NewStop
from flexlive.storage.pool import Connection, Record
from flexlive.storage.queries import load

_sql = load("assignments")


async def terms(conn: Connection, market_id: str, delivery_ids: Sequence[UUID]) -> list[Record]:
    """Place of pickup and load of these deliveries, in id order; the load is what is still to be carried."""
    return await conn.fetch(*_sql.terms.bind(market_id=market_id, delivery_ids=delivery_ids))


async def create_route(
    conn: Connection,
    market_id: str,
    *,
    route_id: UUID,
    driver_id: UUID,
    slot: int,
    wait_rate_cents_per_minute: int,
    stops: Sequence[NewStop],
    created_at: datetime,
) -> None:
    """Route, slot and stops; the caller holds the driver's row and has found the slot free."""
    await conn.execute(
        *_sql.create_route.bind(
            market_id=market_id,
            route_id=route_id,
            driver_id=driver_id,
            created_at=created_at,
            wait_rate_cents_per_minute=wait_rate_cents_per_minute,
            slot=slot,
            stop_ids=[stop.stop_id for stop in stops],
            sequences=[stop.sequence for stop in stops],
            kinds=[stop.kind for stop in stops],
            site_ids=[stop.site_id for stop in stops],
            store_ids=[stop.store_id for stop in stops],
            delivery_ids=["{" + ",".join(str(each) for each in stop.delivery_ids) + "}" for stop in stops],
            lats=[stop.lat for stop in stops],
            lons=[stop.lon for stop in stops],
            radii_m=[stop.geofence_radius_m for stop in stops],
        )
    )


async def confirm(
    conn: Connection,
    market_id: str,
    delivery_id: UUID,
    *,
    driver_id: UUID,
    route_id: UUID,
    pay_base_cents: int,
    pay_distance_cents: int,
    at: datetime,
) -> Record | None:
    """(delivery_id, status, readiness, version) afterwards; None when it was not waiting for a driver."""
    return await conn.fetchrow(
        *_sql.confirm.bind(
            market_id=market_id,
            delivery_id=delivery_id,
            status_at=at,
            driver_id=driver_id,
            route_id=route_id,
            pay_base_cents=pay_base_cents,
            pay_distance_cents=pay_distance_cents,
        )
    )


async def begin_transfer(
    conn: Connection, market_id: str, delivery_ids: Sequence[UUID], transfer_route_id: UUID
) -> list[UUID]:
    """Name the route that waits for these; returns those that had none."""
    rows = await conn.fetch(
        *_sql.begin_transfer.bind(market_id=market_id, delivery_ids=delivery_ids, transfer_route_id=transfer_route_id)
    )
    return [row["delivery_id"] for row in rows]


async def last_position(conn: Connection, market_id: str, driver_id: UUID) -> tuple[float, float] | None:
    """(lat, lon) as stored; None when the driver never sent one."""
    row = await conn.fetchrow(*_sql.last_position.bind(market_id=market_id, driver_id=driver_id))
    return None if row is None else (row["lat"], row["lon"])
