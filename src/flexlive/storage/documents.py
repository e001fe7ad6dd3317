"""Drivers' papers as rows; the bytes are in the upload store."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from flexlive.storage.pool import Connection, Executor, Record
from flexlive.storage.queries import load

_sql = load("documents")


async def of_driver(conn: Executor, market_id: str, driver_id: UUID, rows_max: int) -> list[Record]:
    return await conn.fetch(
        *_sql.documents.bind(market_id=market_id, driver_id=driver_id, status=None, rows_max=rows_max)
    )


async def in_market(conn: Executor, market_id: str, status: str | None, rows_max: int) -> list[Record]:
    """The longest waiting first."""
    return await conn.fetch(*_sql.documents.bind(market_id=market_id, driver_id=None, status=status, rows_max=rows_max))


async def submit(
    conn: Connection, market_id: str, driver_id: UUID, document: str, upload_id: str, at: datetime
) -> Record | None:
    """None where an approved one still holds."""
    return await conn.fetchrow(
        *_sql.submit_document.bind(
            market_id=market_id, driver_id=driver_id, document=document, upload_id=upload_id, updated_at=at
        )
    )


async def decide(
    conn: Connection,
    market_id: str,
    driver_id: UUID,
    document: str,
    *,
    status: str,
    reason: str | None,
    reviewed_by: str,
    expires_at: datetime | None,
    at: datetime,
) -> Record:
    row = await conn.fetchrow(
        *_sql.decide_document.bind(
            market_id=market_id,
            driver_id=driver_id,
            document=document,
            status=status,
            reason=reason,
            reviewed_by=reviewed_by,
            expires_at=expires_at,
            updated_at=at,
        )
    )
    assert row is not None
    return row


async def upload_exists(conn: Executor, market_id: str, driver_id: UUID, upload_id: str) -> bool:
    return await conn.fetchval(*_sql.upload_exists.bind(market_id=market_id, driver_id=driver_id, upload_id=upload_id))
