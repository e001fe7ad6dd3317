"""Uploads as rows; the bytes lie in the upload store under their hash."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from flexlive.storage.pool import Connection, Executor
from flexlive.storage.queries import load

_sql = load("uploads")


@dataclass(frozen=True, slots=True)
class UploadRow:
    """upload_id: the driver's own name for it."""

    upload_id: str
    sha256: bytes
    media_type: str
    size_bytes: int
    created_at: datetime


async def insert(conn: Connection, market_id: str, driver_id: UUID, row: UploadRow) -> bool:
    """False when the driver has an upload of that id already."""
    inserted = await conn.fetchrow(
        *_sql.insert_upload.bind(
            market_id=market_id,
            driver_id=driver_id,
            upload_id=row.upload_id,
            sha256=row.sha256,
            media_type=row.media_type,
            size_bytes=row.size_bytes,
            created_at=row.created_at,
        )
    )
    return inserted is not None


async def get(conn: Executor, market_id: str, driver_id: UUID, upload_id: str) -> UploadRow | None:
    row = await conn.fetchrow(*_sql.upload.bind(market_id=market_id, driver_id=driver_id, upload_id=upload_id))
    return None if row is None else UploadRow(**dict(row.items()))


async def announced(conn: Executor, market_id: str, driver_id: UUID, upload_id: str) -> frozenset[bytes]:
    """Hashes this upload_id stands for: of bytes that came and of proofs that name it; more than one is a mistake."""
    rows = await conn.fetch(*_sql.announced.bind(market_id=market_id, driver_id=driver_id, upload_id=upload_id))
    return frozenset(row["sha256"] for row in rows)


async def count_since(conn: Executor, market_id: str, driver_id: UUID, since: datetime) -> int:
    return await conn.fetchval(*_sql.uploads_since.bind(market_id=market_id, driver_id=driver_id, since=since))
