"""Spoken codes may be guessed only so often: counted per stop, and shown to operators when none is left."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from flexlive.domain.alerts import AlertKind
from flexlive.services import alerts
from flexlive.services.answers import Answer
from flexlive.services.context import Context
from flexlive.services.route_steps import LockedRoute
from flexlive.storage import routes
from flexlive.storage.pool import Connection, Record


async def left(ctx: Context, conn: Connection, market_id: str, stop: Record) -> int:
    """How often a code of this stop may still be wrong."""
    rules = await ctx.rules.get(conn, market_id, ctx.monotonic())
    return max(0, rules.policy.code_attempts_max - stop["code_attempts"])


async def wrong(ctx: Context, conn: Connection, locked: LockedRoute, stop: Record, now: datetime) -> Answer:
    """Count one wrong code. The last one calls operators; a code given after that is not looked at."""
    before = await left(ctx, conn, locked.market_id, stop)
    if before:
        await routes.count_code_attempt(conn, locked.market_id, stop["stop_id"])
    if before <= 1:
        await exhausted(ctx, conn, locked, stop["stop_id"], None, now)
    return Answer("wrong_code", {"attempts_left": max(0, before - 1)})


async def exhausted(
    ctx: Context, conn: Connection, locked: LockedRoute, subject_id: UUID, delivery_id: UUID | None, now: datetime
) -> None:
    """Operators learn that no attempt is left: at a stop (subject its id) or with a door's PIN (the delivery's)."""
    await alerts.raise_alert(
        conn,
        locked.market_id,
        AlertKind.ATTEMPTS_EXHAUSTED,
        subject_id,
        delivery_id=delivery_id,
        route_id=locked.route_id,
        driver_id=locked.driver_id,
        at=now,
        new_id=ctx.new_id,
    )
