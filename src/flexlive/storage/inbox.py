"""A driver's inbox: facts that no snapshot can rebuild, kept until they expire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from flexlive.storage.pool import Connection
from flexlive.storage.queries import load

_sql = load("inbox")


async def put(
    conn: Connection,
    market_id: str,
    driver_ids: Sequence[UUID],
    kind: str,
    body: Mapping[str, object],
    *,
    created_at: datetime,
    expires_at: datetime,
) -> list[tuple[UUID, int]]:
    """One row for each of these drivers, once; (driver_id, inbox_seq) of each. The caller holds the drivers' rows."""
    rows = await conn.fetch(
        *_sql.put.bind(
            market_id=market_id,
            driver_ids=driver_ids,
            kind=kind,
            body=body,
            created_at=created_at,
            expires_at=expires_at,
        )
    )
    return [(row["driver_id"], row["inbox_seq"]) for row in rows]
