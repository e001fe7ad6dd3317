"""Until when a delivery is promised."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from flexlive.storage.pool import Connection, Record
from flexlive.storage.queries import load

_sql = load("deadlines")


async def extend(
    conn: Connection,
    market_id: str,
    delivery_id: UUID,
    pickup_deadline_at: datetime | None,
    dropoff_deadline_at: datetime,
) -> Record | None:
    """(delivery_id, status, readiness, version) afterwards; the caller holds the row."""
    return await conn.fetchrow(
        *_sql.extend.bind(
            market_id=market_id,
            delivery_id=delivery_id,
            pickup_deadline_at=pickup_deadline_at,
            dropoff_deadline_at=dropoff_deadline_at,
        )
    )
