"""What a refused command was about, seen from the driver who sent it."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from flexlive.storage.pool import Connection, Record
from flexlive.storage.queries import load

_sql = load("late_commands")


async def stop_work(conn: Connection, market_id: str, driver_id: UUID, stop_id: UUID) -> tuple[str, list[UUID]] | None:
    """(kind, deliveries) of a stop on a route of this driver, over or not; None for foreign and unknown ones."""
    row = await conn.fetchrow(*_sql.stop_work.bind(market_id=market_id, stop_id=stop_id, driver_id=driver_id))
    return None if row is None else (row["kind"], list(row["delivery_ids"]))


async def route_work(conn: Connection, market_id: str, driver_id: UUID, route_id: UUID) -> list[UUID]:
    """Every delivery that was ever planned on this route of this driver."""
    rows = await conn.fetch(*_sql.route_work.bind(market_id=market_id, route_id=route_id, driver_id=driver_id))
    return sorted({each for row in rows for each in row["delivery_ids"]})


async def lock_standing(
    conn: Connection, market_id: str, driver_id: UUID, delivery_ids: Sequence[UUID]
) -> list[Record]:
    """(delivery_id, status, driver_id, route_id, decided_by) of those that this driver has or had, locked.

    decided_by: the actor type of the step that led to the present status.
    """
    return await conn.fetch(
        *_sql.lock_standing.bind(market_id=market_id, delivery_ids=delivery_ids, driver_id=driver_id)
    )
