"""What an adjustment reads before it becomes a row of the ledger."""

from __future__ import annotations

from uuid import UUID

from flexlive.storage.pool import Connection, Record
from flexlive.storage.queries import load

_sql = load("adjustments")


async def lock_delivery(conn: Connection, market_id: str, delivery_id: UUID) -> Record | None:
    """(delivery_id, driver_id, route_id, currency), locked; the caller holds the driver who is paid."""
    return await conn.fetchrow(*_sql.adjusted_delivery.bind(market_id=market_id, delivery_id=delivery_id))


async def had_delivery(conn: Connection, market_id: str, delivery_id: UUID, driver_id: UUID) -> bool:
    """Whether the driver has or had the delivery."""
    return await conn.fetchval(
        *_sql.had_delivery.bind(market_id=market_id, delivery_id=str(delivery_id), driver_id=str(driver_id))
    )
