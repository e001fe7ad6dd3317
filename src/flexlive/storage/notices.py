"""Notices and their receipts as rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from flexlive.storage.pool import Connection, Executor, Record
from flexlive.storage.queries import load

_sql = load("notices")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNotice:
    """audience: as the wire has it."""

    notice_id: UUID
    title: str
    body: str
    action: str | None
    offer_type: str | None
    audience: Any
    author: str
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Seen:
    """A notice a driver's app has shown. at: aware UTC."""

    market_id: str
    notice_id: UUID
    driver_id: UUID
    at: datetime


async def insert(conn: Connection, market_id: str, notice: NewNotice) -> None:
    await conn.execute(
        *_sql.insert_notice.bind(
            market_id=market_id,
            notice_id=notice.notice_id,
            title=notice.title,
            body=notice.body,
            action=notice.action,
            offer_type=notice.offer_type,
            audience=notice.audience,
            author=notice.author,
            created_at=notice.created_at,
            expires_at=notice.expires_at,
        )
    )


async def latest(conn: Executor, market_id: str, rows_max: int) -> list[Record]:
    """Newest first, each with how many drivers have got it."""
    return await conn.fetch(*_sql.notices.bind(market_id=market_id, notice_id=None, rows_max=rows_max))


async def get(conn: Executor, market_id: str, notice_id: UUID) -> Record | None:
    return await conn.fetchrow(*_sql.notices.bind(market_id=market_id, notice_id=notice_id, rows_max=1))


async def recipients(
    conn: Executor,
    market_id: str,
    notice_id: UUID,
    *,
    driver_ids: Sequence[UUID] | None,
    pilot_id: UUID | None,
    arm: str,
    after: UUID,
    rows_max: int,
) -> list[Record]:
    """A page of active drivers with their last position (or nulls) and whether each has the notice already."""
    return await conn.fetch(
        *_sql.recipients.bind(
            market_id=market_id,
            notice_id=notice_id,
            driver_ids=driver_ids,
            pilot_id=pilot_id,
            arm=arm,
            after_driver_id=after,
            rows_max=rows_max,
        )
    )


async def insert_receipts(
    conn: Connection, market_id: str, notice_id: UUID, driver_ids: Sequence[UUID], at: datetime
) -> list[UUID]:
    """Those who did not have it."""
    rows = await conn.fetch(
        *_sql.insert_receipts.bind(market_id=market_id, notice_id=notice_id, driver_ids=driver_ids, sent_at=at)
    )
    return [row["driver_id"] for row in rows]


async def mark_seen(conn: Connection, seen: Sequence[Seen]) -> None:
    """The first time counts; what was never sent to that driver is ignored."""
    await conn.execute(
        *_sql.mark_seen.bind(
            market_ids=[each.market_id for each in seen],
            notice_ids=[each.notice_id for each in seen],
            driver_ids=[each.driver_id for each in seen],
            seen_ats=[each.at for each in seen],
        )
    )


async def mark_acted(conn: Connection, market_id: str, driver_id: UUID, offer_type: str, at: datetime) -> UUID | None:
    """The notice that asked; None when none did, or it was answered before."""
    return await conn.fetchval(
        *_sql.mark_acted.bind(market_id=market_id, driver_id=driver_id, offer_type=offer_type, at=at)
    )


async def funnel(conn: Executor, market_id: str, notice_id: UUID) -> Record:
    """How many took each step, and the median seconds from the notice to it."""
    row = await conn.fetchrow(*_sql.funnel.bind(market_id=market_id, notice_id=notice_id))
    assert row is not None
    return row
