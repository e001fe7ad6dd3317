"""Drivers as they are signed up: person, vehicle, enrolment. What they do afterwards is in drivers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from flexlive.storage.pool import Executor, Record
from flexlive.storage.queries import load

_sql = load("enrolments")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDriver:
    """A driver with the one vehicle in use. Litres and grams."""

    driver_id: UUID
    first_name: str
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


async def drivers(conn: Executor, market_id: str, *, after: UUID, rows_max: int) -> list[Record]:
    """Drivers with vehicle and active offer types, after an id, in id order."""
    return await conn.fetch(*_sql.drivers.bind(market_id=market_id, after_driver_id=after, rows_max=rows_max))


async def analyze(conn: Executor) -> None:
    """Give the planner its figures after many drivers have been created at once."""
    await conn.execute(*_sql.analyze_fleet.bind())
