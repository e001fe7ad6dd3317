"""Whether a driver may work, and what such a driver still has in hand."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from flexlive.storage.pool import Connection, Executor, Record
from flexlive.storage.queries import load

_sql = load("suspensions")


async def status(conn: Executor, market_id: str, driver_id: UUID) -> tuple[str, str] | None:
    """(status, presence); None when there is no such driver."""
    row = await conn.fetchrow(*_sql.driver_status.bind(market_id=market_id, driver_id=driver_id))
    return None if row is None else (row["status"], row["presence"])


async def set_status(
    conn: Connection, market_id: str, driver_id: UUID, to_status: str, sources: Sequence[str], at: datetime
) -> bool:
    """True when it changed; a driver who is not active goes offline with it."""
    row = await conn.fetchrow(
        *_sql.set_driver_status.bind(market_id=market_id, driver_id=driver_id, status=to_status, sources=sources, at=at)
    )
    return row is not None


async def active_work(conn: Executor, market_id: str, driver_id: UUID, ended: Collection[str]) -> list[Record]:
    """(delivery_id, status) of what is on the driver's active routes and not over."""
    return await conn.fetch(*_sql.active_work.bind(market_id=market_id, driver_id=driver_id, ended=list(ended)))
