"""Read-only questions whose answer must be "no rows", and the rows a client-side history is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from flexlive.storage.pool import Executor, Record
from flexlive.storage.queries import Query, load

_sql = load("audit")

# An audit reads whole tables; the pool's ordinary command timeout is meant for single rows.
AUDIT_TIMEOUT_SECONDS = 60.0
FINDINGS_MAX = 20

_CHECKS: tuple[Query, ...] = (
    _sql.offers_with_several_routes,
    _sql.streams_with_gaps,
    _sql.counters_apart_from_streams,
    _sql.packages_apart_from_deliveries,
    _sql.slots_apart_from_routes,
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken invariant. check: name of the query; row: what it returned, as text."""

    check: str
    market_id: str
    row: str


@dataclass(frozen=True, slots=True)
class DeliveryStanding:
    """A delivery as stored; route and offer are its present ones, None when it has none."""

    market_id: str
    delivery_id: UUID
    external_delivery_id: str
    status: str
    readiness: str
    reason_code: str | None
    track_seq: int
    driver_id: UUID | None
    route_status: str | None
    offer_status: str | None
    offer_valid_until: datetime | None


async def markets(conn: Executor) -> list[str]:
    return [row["market_id"] for row in await conn.fetch(_sql.markets.sql)]


async def findings(conn: Executor, market_id: str) -> list[Finding]:
    """Every check on one market, at most FINDINGS_MAX rows of each."""
    found: list[Finding] = []
    for check in _CHECKS:
        rows = await conn.fetch(*check.bind(market_id=market_id), timeout=AUDIT_TIMEOUT_SECONDS)
        found += [Finding(check.name, market_id, _text(row)) for row in rows[:FINDINGS_MAX]]
    return found


async def offers_opened(conn: Executor, market_id: str) -> list[UUID]:
    return [row["offer_id"] for row in await conn.fetch(*_sql.offers_opened.bind(market_id=market_id))]


async def wins(conn: Executor, market_id: str) -> dict[UUID, UUID]:
    """Offer → the driver it was given to."""
    rows = await conn.fetch(*_sql.wins.bind(market_id=market_id))
    return {row["offer_id"]: row["driver_id"] for row in rows}


async def deliveries(conn: Executor, market_id: str) -> list[DeliveryStanding]:
    """Oldest first."""
    rows = await conn.fetch(*_sql.deliveries.bind(market_id=market_id))
    return [DeliveryStanding(market_id=market_id, **dict(row.items())) for row in rows]


def _text(row: Record) -> str:
    return ", ".join(f"{name} {value}" for name, value in row.items())
