"""Money rows: append-only, each naming the event that earned it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from flexlive.storage.pool import Connection
from flexlive.storage.queries import load

_sql = load("ledger")


@dataclass(frozen=True, slots=True)
class NewEntry:
    """One row. amount in integer cents of the route's currency; event_id: what earned it."""

    entry_id: UUID
    delivery_id: UUID | None
    kind: str
    amount_cents: int
    event_id: int


async def insert(
    conn: Connection,
    market_id: str,
    driver_id: UUID,
    route_id: UUID | None,
    currency: str,
    created_at: datetime,
    entries: Sequence[NewEntry],
) -> None:
    await conn.execute(
        *_sql.insert_entries.bind(
            market_id=market_id,
            driver_id=driver_id,
            route_id=route_id,
            currency=currency,
            created_at=created_at,
            entry_ids=[entry.entry_id for entry in entries],
            delivery_ids=[entry.delivery_id for entry in entries],
            kinds=[entry.kind for entry in entries],
            amounts_cents=[entry.amount_cents for entry in entries],
            event_ids=[entry.event_id for entry in entries],
        )
    )
