"""Pilots as rows: scope, arms, the stop, and what the comparison reads."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from flexlive.storage.pool import Connection, Executor, Record
from flexlive.storage.queries import load

_sql = load("pilots")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPilot:
    """Empty site_ids, merchant_ids: all of them."""

    pilot_id: UUID
    name: str
    offer_type: str
    site_ids: Sequence[UUID]
    merchant_ids: Sequence[UUID]
    starts_at: datetime
    ends_at: datetime
    created_at: datetime


async def hold(conn: Connection, market_id: str, offer_types: Collection[str]) -> None:
    """Nobody stops a pilot of these offer types until the caller's transaction has ended. The first of all locks."""
    await conn.fetch(*_sql.hold_pilots.bind(market_id=market_id, offer_types=sorted(offer_types)))


async def insert(conn: Connection, market_id: str, pilot: NewPilot) -> bool:
    """False when the market has a pilot of this name."""
    row = await conn.fetchrow(
        *_sql.insert_pilot.bind(
            market_id=market_id,
            pilot_id=pilot.pilot_id,
            name=pilot.name,
            offer_type=pilot.offer_type,
            site_ids=pilot.site_ids,
            merchant_ids=pilot.merchant_ids,
            starts_at=pilot.starts_at,
            ends_at=pilot.ends_at,
            created_at=pilot.created_at,
        )
    )
    return row is not None


async def named(conn: Executor, market_id: str, name: str) -> UUID | None:
    return await conn.fetchval(*_sql.pilot_named.bind(market_id=market_id, name=name))


async def every(conn: Executor, market_id: str) -> list[Record]:
    """With the number of drivers in each arm, oldest first."""
    return await conn.fetch(*_sql.pilots.bind(market_id=market_id, pilot_id=None))


async def get(conn: Executor, market_id: str, pilot_id: UUID) -> Record | None:
    return await conn.fetchrow(*_sql.pilots.bind(market_id=market_id, pilot_id=pilot_id))


async def drivers_after(conn: Executor, market_id: str, after: UUID, rows_max: int) -> list[UUID]:
    """A page of the market's drivers, in id order."""
    rows = await conn.fetch(*_sql.drivers_after.bind(market_id=market_id, after_driver_id=after, rows_max=rows_max))
    return [row["driver_id"] for row in rows]


async def insert_members(
    conn: Connection, market_id: str, pilot_id: UUID, members: Sequence[tuple[UUID, str]]
) -> list[UUID]:
    """Those who were in no arm yet and are drivers of this market. members: (driver, arm)."""
    rows = await conn.fetch(
        *_sql.insert_members.bind(
            market_id=market_id,
            pilot_id=pilot_id,
            driver_ids=[driver_id for driver_id, _ in members],
            arms=[arm for _, arm in members],
        )
    )
    return [row["driver_id"] for row in rows]


async def kill(conn: Connection, market_id: str, pilot_id: UUID, reason: str, at: datetime) -> bool:
    """True when this call stopped it. Waits for whoever holds the pilot."""
    row = await conn.fetchrow(
        *_sql.kill_pilot.bind(market_id=market_id, pilot_id=pilot_id, killed_at=at, killed_reason=reason)
    )
    return row is not None


async def resume(conn: Connection, market_id: str, pilot_id: UUID) -> bool:
    """True when this call resumed it."""
    row = await conn.fetchrow(*_sql.resume_pilot.bind(market_id=market_id, pilot_id=pilot_id))
    return row is not None


async def withdraw_offers(conn: Connection, market_id: str, pilot_id: UUID, at: datetime) -> list[UUID]:
    """End every open offer with work of this pilot; their deliveries are free for whatever comes next."""
    rows = await conn.fetch(*_sql.lock_pilot_offers.bind(market_id=market_id, pilot_id=pilot_id))
    # A second statement: it sees what the locks were waited for.
    offer_ids = [row["offer_id"] for row in rows]
    closed = await conn.fetch(*_sql.withdraw_offers.bind(market_id=market_id, offer_ids=offer_ids, ended_at=at))
    return [row["offer_id"] for row in closed]


async def measures(conn: Executor, market_id: str, pilot_id: UUID, from_at: datetime, to_at: datetime) -> list[Record]:
    """Per member: arm, earnings_cents, delivered, in_window, ended, accepted, declined between the two instants."""
    return await conn.fetch(*_sql.measures.bind(market_id=market_id, pilot_id=pilot_id, from_at=from_at, to_at=to_at))


async def cohort_funnel(conn: Executor, market_id: str, pilot_id: UUID) -> Record:
    """How many of the cohort took each step, and the median seconds from the notice to it."""
    row = await conn.fetchrow(*_sql.cohort_funnel.bind(market_id=market_id, pilot_id=pilot_id))
    assert row is not None
    return row
