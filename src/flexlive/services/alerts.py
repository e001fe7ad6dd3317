"""Alerts: raised by whoever notices in the transaction of what it noticed, seen and resolved by operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from flexlive.domain.alerts import AlertKind
from flexlive.protocol import ops_actions as wire
from flexlive.services.context import Context
from flexlive.storage import alerts as rows
from flexlive.storage.alerts import NewAlert
from flexlive.storage.pool import Connection, Record

SYSTEM: Final = "system"
PAGE_ROWS: Final = 200


async def raise_alert(
    conn: Connection,
    market_id: str,
    kind: AlertKind,
    subject_id: UUID,
    *,
    delivery_id: UUID | None = None,
    route_id: UUID | None = None,
    driver_id: UUID | None = None,
    detail: Mapping[str, object] | None = None,
    at: datetime,
    new_id: Callable[[], UUID],
) -> bool:
    """Open an alert in the caller's transaction; False, and nothing happens, while one of its kind is open."""
    alert = NewAlert(
        alert_id=new_id(),
        kind=kind.value,
        subject_id=subject_id,
        delivery_id=delivery_id,
        route_id=route_id,
        driver_id=driver_id,
        detail=detail or {},
        opened_at=at,
    )
    return await rows.insert(conn, market_id, alert)


async def resolve(
    conn: Connection,
    market_id: str,
    kinds: Sequence[AlertKind],
    subject_id: UUID,
    *,
    at: datetime,
    by: str = SYSTEM,
    resolution: str,
) -> int:
    """End the open alerts of these kinds about a delivery or route, in the caller's transaction; how many."""
    return await rows.resolve_subject(conn, market_id, [kind.value for kind in kinds], subject_id, at, by, resolution)


async def page(
    ctx: Context, market_id: str, *, open_only: bool, kind: AlertKind | None, before: UUID | None
) -> wire.AlertPage:
    """A page of alerts, newest first. FlexliveError(market_unknown)."""
    await ctx.rules.get(ctx.pool, market_id, ctx.monotonic())
    found = await rows.page(
        ctx.pool,
        market_id,
        open_only=open_only,
        kind=None if kind is None else kind.value,
        before=before,
        rows_max=PAGE_ROWS,
    )
    alerts = tuple(view(row) for row in found)
    return wire.AlertPage(alerts=alerts, next_before=alerts[-1].alert_id if len(alerts) == PAGE_ROWS else None)


def view(row: Record) -> wire.Alert:
    """The wire's alert."""
    columns: dict[str, Any] = dict(row.items())
    return msgspec.convert(columns, wire.Alert)
