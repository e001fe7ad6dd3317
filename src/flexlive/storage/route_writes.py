"""What a step of a route changes, as few statements as possible. The caller holds every lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from flexlive.storage.pool import Connection, Record
from flexlive.storage.queries import load

_sql = load("routes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A delivery's way in one step. steps: rows of the table walked. attempts: incidents among them.
    has_reason: one of them says why, and the reason is kept."""

    delivery_id: UUID
    from_status: str
    status: str
    steps: int
    attempts: int = 0
    has_reason: bool = False


@dataclass(slots=True, kw_only=True)
class StopMark:
    """What happened to a stop; times already stored stay."""

    stop_id: UUID
    status: str
    departed_at: datetime | None = None
    arrived_at: datetime | None = None
    done_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendedStop:
    """Degrees, metres."""

    stop_id: UUID
    sequence: int
    kind: str
    site_id: UUID | None
    store_id: UUID | None
    delivery_ids: tuple[UUID, ...]
    lat: float
    lon: float
    geofence_radius_m: int


async def move(
    conn: Connection,
    market_id: str,
    moves: Sequence[Move],
    *,
    driver_id: UUID | None,
    route_id: UUID | None,
    reason_code: str | None,
    at: datetime,
) -> list[Record]:
    """Move each delivery that is where its move begins; the moved with status, readiness and version afterwards.

    driver_id, route_id: whose they are from now on, both None for what was nobody's."""
    return await conn.fetch(
        *_sql.move_deliveries.bind(
            market_id=market_id,
            status_at=at,
            driver_id=driver_id,
            route_id=route_id,
            reason_code=reason_code,
            delivery_ids=[each.delivery_id for each in moves],
            from_statuses=[each.from_status for each in moves],
            statuses=[each.status for each in moves],
            steps=[each.steps for each in moves],
            attempts=[each.attempts for each in moves],
            has_reasons=[each.has_reason for each in moves],
        )
    )


async def set_readiness(
    conn: Connection, market_id: str, delivery_ids: Sequence[UUID], readiness: str, sources: Sequence[str]
) -> list[Record]:
    return await conn.fetch(
        *_sql.set_readiness.bind(market_id=market_id, delivery_ids=delivery_ids, readiness=readiness, sources=sources)
    )


async def mark_stops(conn: Connection, market_id: str, marks: Sequence[StopMark]) -> None:
    """Each stop at most once."""
    await conn.fetch(
        *_sql.mark_stops.bind(
            market_id=market_id,
            stop_ids=[mark.stop_id for mark in marks],
            statuses=[mark.status for mark in marks],
            departed_ats=[mark.departed_at for mark in marks],
            arrived_ats=[mark.arrived_at for mark in marks],
            done_ats=[mark.done_at for mark in marks],
        )
    )


async def append_stops(conn: Connection, market_id: str, route_id: UUID, stops: Sequence[AppendedStop]) -> None:
    """Their sequence numbers must be free."""
    await conn.execute(
        *_sql.append_stops.bind(
            market_id=market_id,
            route_id=route_id,
            stop_ids=[stop.stop_id for stop in stops],
            sequences=[stop.sequence for stop in stops],
            kinds=[stop.kind for stop in stops],
            site_ids=[stop.site_id for stop in stops],
            store_ids=[stop.store_id for stop in stops],
            delivery_ids=["{" + ",".join(str(each) for each in stop.delivery_ids) + "}" for stop in stops],
            lats=[stop.lat for stop in stops],
            lons=[stop.lon for stop in stops],
            radii_m=[stop.geofence_radius_m for stop in stops],
        )
    )


async def advance(
    conn: Connection, market_id: str, route_id: UUID, *, ended_as: str | None = None, at: datetime | None = None
) -> bool:
    """A new version of an active route; with ended_as (and at) it is over and its slot free. False when it was over."""
    row = await conn.fetchrow(
        *_sql.advance_route.bind(market_id=market_id, route_id=route_id, status=ended_as, ended_at=at)
    )
    return row is not None


async def quote_returns(conn: Connection, market_id: str, cents: Mapping[UUID, int]) -> None:
    """What bringing each of these back pays, in cents."""
    await conn.execute(
        *_sql.quote_returns.bind(market_id=market_id, delivery_ids=list(cents), amounts_cents=list(cents.values()))
    )


async def set_pay(conn: Connection, market_id: str, pay: Mapping[UUID, tuple[int, int]]) -> None:
    """(base without distance, distance) in cents for each of these."""
    await conn.execute(
        *_sql.set_pay.bind(
            market_id=market_id,
            delivery_ids=list(pay),
            bases_cents=[base for base, _ in pay.values()],
            distances_cents=[distance for _, distance in pay.values()],
        )
    )


async def call_off_transfer(conn: Connection, market_id: str, delivery_ids: Sequence[UUID]) -> None:
    """No second driver is to come for these any more."""
    await conn.fetch(*_sql.call_off_transfer.bind(market_id=market_id, delivery_ids=delivery_ids))


async def allow_leaving(conn: Connection, market_id: str, delivery_id: UUID) -> None:
    """It may be left at the door, whatever the merchant wished."""
    await conn.fetchrow(*_sql.allow_leaving.bind(market_id=market_id, delivery_id=delivery_id))
