"""The ledger as a driver reads it: rows of whole days where the market is."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from flexlive.storage.pool import Executor, Record
from flexlive.storage.queries import load

_sql = load("earnings")


async def market_day(conn: Executor, market_id: str, now: datetime) -> Record | None:
    """today (a local date), time_zone, currency of a market."""
    return await conn.fetchrow(*_sql.market_day.bind(market_id=market_id, now=now))


async def rows(
    conn: Executor, market_id: str, driver_id: UUID, from_date: date, to_date: date, rows_max: int
) -> list[Record]:
    """At most rows_max entries from the first local day through the last, oldest first: the entry, its local_date, and
    of the event that earned it event_kind, reason_code; store_name when it is about a delivery."""
    return await conn.fetch(
        *_sql.earnings.bind(
            market_id=market_id, driver_id=driver_id, from_date=from_date, to_date=to_date, rows_max=rows_max
        )
    )
