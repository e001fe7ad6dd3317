"""Drivers as rows: locks, standing, presence, positions, tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from flexlive.storage.command_results import CommandKey
from flexlive.storage.pool import Connection, Executor, Record
from flexlive.storage.queries import load

_sql = load("drivers")


@dataclass(frozen=True, slots=True)
class PositionRow:
    """The latest position of one driver. Degrees, metres, aware UTC."""

    driver_id: UUID
    lat: float
    lon: float
    accuracy_m: float
    positioned_at: datetime
    received_at: datetime


async def lock(conn: Connection, market_id: str, driver_ids: Sequence[UUID]) -> set[UUID]:
    """First lock of every driver command; returns those that exist."""
    rows = await conn.fetch(*_sql.lock_drivers.bind(market_id=market_id, driver_ids=driver_ids))
    return {row["driver_id"] for row in rows}


async def standing(conn: Connection, market_id: str, asks: Sequence[tuple[CommandKey, UUID]]) -> list[Record]:
    """Per ask (command, offer): status, presence, slots_used, routes_active_max, offer_types, vehicle limits (or null),
    declined, and request_sha256 and body of an answer already given (or null)."""
    return await conn.fetch(
        *_sql.drivers_standing.bind(
            market_id=market_id,
            driver_ids=[key.driver_id for key, _ in asks],
            device_ids=[key.device_id for key, _ in asks],
            cmds=[key.cmd for key, _ in asks],
            offer_ids=[offer_id for _, offer_id in asks],
        )
    )


async def first_name(conn: Connection, market_id: str, driver_id: UUID) -> str | None:
    return await conn.fetchval(*_sql.first_name.bind(market_id=market_id, driver_id=driver_id))


async def set_presence(conn: Connection, market_id: str, driver_id: UUID, presence: str, at: datetime) -> bool:
    """True when the mode changed."""
    row = await conn.fetchrow(
        *_sql.set_presence.bind(market_id=market_id, driver_id=driver_id, presence=presence, presence_at=at)
    )
    return row is not None


async def online(conn: Executor, market_id: str, received_after: datetime) -> list[Record]:
    """The fleet as the dispatcher sees it: online drivers heard of since then, with position and open routes."""
    return await conn.fetch(*_sql.drivers_online.bind(market_id=market_id, received_after=received_after))


async def authenticate(conn: Executor, market_id: str, token_sha256: bytes) -> Record | None:
    """The driver or ticket token and its driver, whatever their state; None when unknown."""
    return await conn.fetchrow(*_sql.authenticate.bind(market_id=market_id, token_sha256=token_sha256))


async def snapshots(conn: Executor, market_id: str, driver_ids: Sequence[UUID]) -> list[Record]:
    """Presence and stored position (or nulls) of each driver."""
    return await conn.fetch(*_sql.snapshots.bind(market_id=market_id, driver_ids=driver_ids))


async def inbox(
    conn: Executor, market_id: str, asks: Sequence[tuple[UUID, int]], now: datetime, rows_max: int
) -> list[Record]:
    """Inbox rows after each driver's own inbox_seq, oldest first."""
    return await conn.fetch(
        *_sql.inbox.bind(
            market_id=market_id,
            driver_ids=[driver_id for driver_id, _ in asks],
            inbox_seqs=[inbox_seq for _, inbox_seq in asks],
            now=now,
            rows_max=rows_max,
        )
    )


async def write_positions(conn: Connection, market_id: str, rows: Sequence[PositionRow]) -> None:
    """Upsert positions; an older one never replaces a newer. The caller keeps to ≤ 500 rows a transaction."""
    await conn.execute(
        *_sql.write_positions.bind(
            market_id=market_id,
            driver_ids=[row.driver_id for row in rows],
            lats=[row.lat for row in rows],
            lons=[row.lon for row in rows],
            accuracies_m=[row.accuracy_m for row in rows],
            positioned_at=[row.positioned_at for row in rows],
            received_at=[row.received_at for row in rows],
        )
    )


async def logins_ended(conn: Executor, market_id: str, logins: Sequence[tuple[UUID, UUID]]) -> list[Record]:
    """Of these (driver, token family) those that hold no longer; active: the driver may work, only the login ended."""
    return await conn.fetch(
        *_sql.logins_ended.bind(
            market_id=market_id,
            driver_ids=[driver_id for driver_id, _ in logins],
            family_ids=[family_id for _, family_id in logins],
        )
    )
