"""What has been waiting too long, as rows: silent drivers, orders nobody took, incidents nobody decided."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from flexlive.storage.pool import Connection, Executor, Record
from flexlive.storage.queries import load

_sql = load("watch")


@dataclass(frozen=True, slots=True)
class QuietRoute:
    """heard_at: the newest stored sign of life; silent_at: since when operators know."""

    route_id: UUID
    driver_id: UUID
    silent_at: datetime | None
    heard_at: datetime


@dataclass(frozen=True, slots=True)
class SilentRoute:
    route_id: UUID
    driver_id: UUID
    silent_at: datetime


async def quiet(conn: Executor, market_id: str, heard_before: datetime) -> list[QuietRoute]:
    """Active routes without a stored sign of life of their drivers after that moment."""
    rows = await conn.fetch(*_sql.quiet_routes.bind(market_id=market_id, heard_before=heard_before))
    return [QuietRoute(**dict(row.items())) for row in rows]


async def silent(conn: Executor, market_id: str) -> list[SilentRoute]:
    """Active routes whose drivers are known to be silent."""
    rows = await conn.fetch(*_sql.silent_routes.bind(market_id=market_id))
    return [SilentRoute(**dict(row.items())) for row in rows]


async def mark_silent(conn: Connection, market_id: str, route_id: UUID, at: datetime) -> bool:
    """True the first time."""
    row = await conn.fetchrow(*_sql.mark_silent.bind(market_id=market_id, route_id=route_id, silent_at=at))
    return row is not None


async def mark_heard(conn: Connection, market_id: str, route_id: UUID) -> bool:
    """True when it was silent."""
    row = await conn.fetchrow(*_sql.mark_heard.bind(market_id=market_id, route_id=route_id))
    return row is not None


async def overdue(conn: Executor, market_id: str, deadline_before: datetime, rows_max: int) -> list[UUID]:
    """Deliveries without a driver whose deadline has passed by then."""
    rows = await conn.fetch(*_sql.overdue.bind(market_id=market_id, deadline_before=deadline_before, rows_max=rows_max))
    return [row["delivery_id"] for row in rows]


async def undecided(conn: Executor, market_id: str, opened_before: datetime, rows_max: int) -> list[UUID]:
    """Undeliverable, with an incident alert that has been open since before then."""
    rows = await conn.fetch(*_sql.undecided.bind(market_id=market_id, opened_before=opened_before, rows_max=rows_max))
    return [row["delivery_id"] for row in rows]


async def is_undecided(conn: Executor, market_id: str, delivery_id: UUID, opened_before: datetime) -> bool:
    """Whether its incident alert is still open, since before then."""
    return await conn.fetchval(
        *_sql.is_undecided.bind(market_id=market_id, delivery_id=delivery_id, opened_before=opened_before)
    )


async def unplaced(
    conn: Executor, market_id: str, now: datetime, status_before: datetime, rows_max: int
) -> list[Record]:
    """Ready, waiting since before then, nobody's, and without a `no_driver` alert since."""
    return await conn.fetch(
        *_sql.unplaced.bind(market_id=market_id, now=now, status_before=status_before, rows_max=rows_max)
    )
