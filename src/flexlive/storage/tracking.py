"""What a customer's link opens: the delivery behind a token, and the customer's own stream."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from flexlive.storage.pool import Connection, Executor, Record
from flexlive.storage.queries import load

_sql = load("tracking")


@dataclass(frozen=True, slots=True)
class LinkRow:
    """The delivery as its customer may know it. courier_* and driver_id: only on the customer's
    own leg, else None."""

    delivery_id: UUID
    external_delivery_id: str
    status: str
    status_at: datetime
    readiness: str
    service_level: str
    track_seq: int
    dropoff_ready_at: datetime | None
    dropoff_deadline_at: datetime
    dropoff_address: str
    dropoff_unit: str
    dropoff_instructions: str
    dropoff_lat: float
    dropoff_lon: float
    fulfilled_by: str
    courier_imminent: bool
    pincode: str | None
    recipient: str | None
    left_at: str | None
    reason_code: str | None
    store_name: str
    time_zone: str
    courier_first_name: str | None
    driver_id: UUID | None
    courier_lat: float | None
    courier_lon: float | None
    courier_seen_at: datetime | None
    package_count: int


@dataclass(frozen=True, slots=True)
class TrackFact:
    """One row of the stream `track:<delivery>`; data is exactly what the customer gets."""

    seq: int
    kind: str
    data: dict[str, Any]


async def link(
    conn: Executor,
    market_id: str,
    token_sha256: bytes,
    *,
    now: datetime,
    own_leg: Collection[str],
    ended: Collection[str],
    ended_before: datetime,
) -> LinkRow | None:
    """The delivery behind a live link; None alike for unknown, expired and revoked ones, and when it ended by then."""
    row = await conn.fetchrow(
        *_sql.link.bind(
            market_id=market_id,
            token_sha256=token_sha256,
            now=now,
            own_leg=list(own_leg),
            ended=list(ended),
            ended_before=ended_before,
        )
    )
    return None if row is None else LinkRow(**dict(row.items()))


async def facts(conn: Executor, market_id: str, delivery_id: UUID, *, after_seq: int, rows_max: int) -> list[TrackFact]:
    """The customer's facts after a position, in order, at most rows_max."""
    rows = await conn.fetch(
        *_sql.facts.bind(market_id=market_id, stream=f"track:{delivery_id}", after_seq=after_seq, rows_max=rows_max)
    )
    return [TrackFact(row["seq"], row["kind"], row["data"]) for row in rows]


async def facts_of_kind(conn: Executor, market_id: str, delivery_id: UUID, kind: str) -> int:
    """How many facts of a kind the customer's stream has."""
    return await conn.fetchval(*_sql.facts_of_kind.bind(market_id=market_id, stream=f"track:{delivery_id}", kind=kind))


async def set_courier_imminent(
    conn: Connection, market_id: str, delivery_id: UUID, driver_id: UUID, status: str
) -> str | None:
    """Raise the flag once while that driver brings it and it has that status; the driver's first name when this call
    did."""
    return await conn.fetchval(
        *_sql.set_courier_imminent.bind(
            market_id=market_id, delivery_id=delivery_id, driver_id=driver_id, status=status
        )
    )


async def set_instructions(conn: Connection, market_id: str, delivery_id: UUID, text: str) -> Record:
    """(delivery_id, status, readiness, version) afterwards; the caller holds the delivery's row."""
    row = await conn.fetchrow(
        *_sql.set_instructions.bind(market_id=market_id, delivery_id=delivery_id, dropoff_instructions=text)
    )
    assert row is not None
    return row
