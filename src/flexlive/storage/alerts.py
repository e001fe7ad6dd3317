"""What wants an operator's eye, as rows: at most one open alert of a kind about the same thing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from flexlive.storage.pool import Connection, Executor, Record
from flexlive.storage.queries import load

_sql = load("alerts")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAlert:
    """subject_id: the delivery or route it is about; the others are where an operator looks next."""

    alert_id: UUID
    kind: str
    subject_id: UUID
    delivery_id: UUID | None
    route_id: UUID | None
    driver_id: UUID | None
    detail: Mapping[str, object]
    opened_at: datetime


async def insert(conn: Connection, market_id: str, alert: NewAlert) -> bool:
    """False when one of this kind about the same thing is open already."""
    row = await conn.fetchrow(
        *_sql.open_alert.bind(
            market_id=market_id,
            alert_id=alert.alert_id,
            kind=alert.kind,
            subject_id=alert.subject_id,
            delivery_id=alert.delivery_id,
            route_id=alert.route_id,
            driver_id=alert.driver_id,
            detail=alert.detail,
            opened_at=alert.opened_at,
        )
    )
    return row is not None


async def resolve_subject(
    conn: Connection, market_id: str, kinds: Sequence[str], subject_id: UUID, at: datetime, by: str, resolution: str
) -> int:
    """End the open alerts of these kinds about a subject; how many there were."""
    rows = await conn.fetch(
        *_sql.resolve_subject.bind(
            market_id=market_id,
            kinds=kinds,
            subject_id=subject_id,
            resolved_at=at,
            resolved_by=by,
            resolution=resolution,
        )
    )
    return len(rows)


async def resolve(conn: Connection, market_id: str, alert_id: UUID, at: datetime, by: str, resolution: str) -> bool:
    """True when this call ended it."""
    row = await conn.fetchrow(
        *_sql.resolve_alert.bind(
            market_id=market_id, alert_id=alert_id, resolved_at=at, resolved_by=by, resolution=resolution
        )
    )
    return row is not None


async def get(conn: Executor, market_id: str, alert_id: UUID) -> Record | None:
    return await conn.fetchrow(*_sql.alert.bind(market_id=market_id, alert_id=alert_id))


async def page(
    conn: Executor, market_id: str, *, open_only: bool, kind: str | None, before: UUID | None, rows_max: int
) -> list[Record]:
    """Newest first, from before that alert on."""
    return await conn.fetch(
        *_sql.alerts.bind(market_id=market_id, open_only=open_only, kind=kind, before=before, rows_max=rows_max)
    )


async def settled(conn: Executor, market_id: str, ended: Collection[str], rows_max: int) -> list[Record]:
    """Open alerts whose reason has gone: alert_id, kind, subject_id, status of the delivery or route now.

    ended: statuses of a delivery that is over.
    """
    return await conn.fetch(*_sql.settled_alerts.bind(market_id=market_id, ended=list(ended), rows_max=rows_max))
