"""Drivers as they are signed up: person, vehicle, enrolment. What they do afterwards is in drivers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from flexlive.storage.pool import Connection, Executor, Record
from flexlive.storage.queries import load

_sql = load("enrolments")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDriver:
    """A driver with the one vehicle in use. Litres and grams. phone: E.164, the driver's alone in the market."""

    driver_id: UUID
    first_name: str
    phone: str | None
    routes_active_max: int
    vehicle_id: UUID
    vehicle_kind: str
    packages_max: int
    volume_litres: int
    weight_grams_max: int
    carries_upright: bool
    offer_types: tuple[str, ...]


async def insert_drivers(conn: Executor, market_id: str, drivers: Sequence[NewDriver], created_at: datetime) -> None:
    """Drivers and their vehicles; offline, active."""
    await conn.execute(
        *_sql.insert_drivers.bind(
            market_id=market_id,
            created_at=created_at,
            driver_ids=[driver.driver_id for driver in drivers],
            first_names=[driver.first_name for driver in drivers],
            phones=[driver.phone for driver in drivers],
            routes_active_maxes=[driver.routes_active_max for driver in drivers],
        )
    )
    await conn.execute(
        *_sql.insert_vehicles.bind(
            market_id=market_id,
            vehicle_ids=[driver.vehicle_id for driver in drivers],
            driver_ids=[driver.driver_id for driver in drivers],
            kinds=[driver.vehicle_kind for driver in drivers],
            packages_maxes=[driver.packages_max for driver in drivers],
            volumes_litres=[driver.volume_litres for driver in drivers],
            weight_grams_maxes=[driver.weight_grams_max for driver in drivers],
            carries_uprights=[driver.carries_upright for driver in drivers],
        )
    )


async def insert_active(conn: Executor, market_id: str, pairs: Sequence[tuple[UUID, str]], updated_at: datetime) -> int:
    """Enrol (driver, offer type) pairs under the terms in force; how many there were of offer types that exist."""
    rows = await conn.fetch(
        *_sql.insert_active_enrolments.bind(
            market_id=market_id,
            updated_at=updated_at,
            driver_ids=[driver_id for driver_id, _ in pairs],
            offer_types=[offer_type for _, offer_type in pairs],
        )
    )
    return len(rows)


async def insert_documents(
    conn: Connection, market_id: str, pairs: Sequence[tuple[UUID, str]], reviewed_by: str, at: datetime
) -> None:
    """Approve what the offer types of these (driver, offer type) pairs ask for, where nothing is there yet."""
    await conn.fetch(
        *_sql.insert_documents.bind(
            market_id=market_id,
            driver_ids=[driver_id for driver_id, _ in pairs],
            offer_types=[offer_type for _, offer_type in pairs],
            reviewed_by=reviewed_by,
            updated_at=at,
        )
    )


async def invite(
    conn: Connection, market_id: str, driver_ids: Sequence[UUID], offer_type: str, at: datetime
) -> list[UUID]:
    """Those who had no enrolment of this type."""
    rows = await conn.fetch(
        *_sql.invite.bind(market_id=market_id, driver_ids=driver_ids, offer_type=offer_type, updated_at=at)
    )
    return [row["driver_id"] for row in rows]


async def terms_of(conn: Executor, market_id: str, offer_type: str) -> Record | None:
    return await conn.fetchrow(*_sql.terms_of.bind(market_id=market_id, offer_type=offer_type))


async def page(
    conn: Executor,
    market_id: str,
    *,
    driver_id: UUID | None = None,
    offer_type: str | None = None,
    status: str | None = None,
    after: UUID | None = None,
    rows_max: int = 100,
) -> list[Record]:
    """Enrolments with what is missing and whether papers are in order, in driver order. None asks for all."""
    return await conn.fetch(
        *_sql.enrolments.bind(
            market_id=market_id,
            driver_id=driver_id,
            offer_type=offer_type,
            status=status,
            after_driver_id=after,
            rows_max=rows_max,
        )
    )


async def move(
    conn: Connection,
    market_id: str,
    driver_id: UUID,
    offer_type: str,
    *,
    from_status: str,
    to_status: str,
    terms_version: int | None,
    reason: str | None,
    interested: bool,
    at: datetime,
) -> bool:
    """False when it stood elsewhere. terms_version None: stays. interested: the driver has just said so."""
    row = await conn.fetchrow(
        *_sql.move_enrolment.bind(
            market_id=market_id,
            driver_id=driver_id,
            offer_type=offer_type,
            from_status=from_status,
            to_status=to_status,
            terms_version=terms_version,
            reason=reason,
            interested=interested,
            at=at,
        )
    )
    return row is not None


async def entitlements(conn: Executor, market_id: str, driver_ids: Sequence[UUID]) -> list[Record]:
    """offer_types and pilot_ids of each, as the present transaction sees them."""
    return await conn.fetch(*_sql.entitlements.bind(market_id=market_id, driver_ids=driver_ids))


async def enrolled_after(conn: Executor, market_id: str, offer_type: str, after: UUID, rows_max: int) -> list[UUID]:
    """A page of the drivers with an enrolment of this type, in id order."""
    rows = await conn.fetch(
        *_sql.enrolled_after.bind(market_id=market_id, offer_type=offer_type, after_driver_id=after, rows_max=rows_max)
    )
    return [row["driver_id"] for row in rows]


async def drivers(conn: Executor, market_id: str, *, after: UUID, rows_max: int) -> list[Record]:
    """Drivers with vehicle and active offer types, after an id, in id order."""
    return await conn.fetch(*_sql.drivers.bind(market_id=market_id, after_driver_id=after, rows_max=rows_max))


async def analyze(conn: Executor) -> None:
    """Give the planner its figures after many drivers have been created at once."""
    await conn.execute(*_sql.analyze_fleet.bind())
