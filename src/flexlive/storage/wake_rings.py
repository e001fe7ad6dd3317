"""Rings of sleeping phones, and which offers phones have shown, as rows: one of each per offer and driver, ever."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from flexlive.storage.pool import Connection, Executor, Record
from flexlive.storage.queries import load

_sql = load("wake_rings")
_seen_sql = load("offer_seen")

RingReason = Literal["away", "unseen"]
RingOutcome = Literal["accepted", "refused", "unknown", "given_up", "too_late", "no_target"]
"""accepted: by the push service. refused: it will never take it. unknown: it may have taken it, and is not asked again.
given_up: it could not be reached, or was busy. too_late: the offer went meanwhile. no_target: no phone was left."""


@dataclass(frozen=True, slots=True)
class SeenOffer:
    """An offer that a driver's app has shown. at: aware UTC."""

    market_id: str
    offer_id: UUID
    driver_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class Claimed:
    """One driver this process may ring, once. seconds_left: until valid_until, by the database's clock."""

    driver_id: UUID
    valid_until: datetime
    seconds_left: float


async def drivers_to_wake(
    conn: Executor, market_id: str, offer_ids: Sequence[UUID], received_after: datetime
) -> list[Record]:
    """Online drivers heard of since then who have a phone to ring for one of these offers; for offers.driver_state."""
    return await conn.fetch(
        *_sql.drivers_to_wake.bind(market_id=market_id, received_after=received_after, offer_ids=offer_ids)
    )


async def seen_or_rung(conn: Executor, market_id: str, offer_ids: Sequence[UUID]) -> set[tuple[UUID, UUID]]:
    """(offer_id, driver_id) that need no ring, or no further one."""
    rows = await conn.fetch(*_sql.seen_or_rung.bind(market_id=market_id, offer_ids=offer_ids))
    return {(row["offer_id"], row["driver_id"]) for row in rows}


async def claim(
    conn: Connection,
    market_id: str,
    offer_id: UUID,
    wanted: Sequence[tuple[UUID, RingReason]],
    seconds_left_min: float,
) -> list[Claimed]:
    """Those of the wanted drivers who are to be rung now; nobody when the offer is not to be had any more, or is being
    accepted in this moment. The caller commits, then rings at once."""
    rows = await conn.fetch(
        *_sql.claim_rings.bind(
            market_id=market_id,
            offer_id=offer_id,
            seconds_left_min=seconds_left_min,
            driver_ids=[driver_id for driver_id, _ in wanted],
            reasons=[reason for _, reason in wanted],
        )
    )
    return [Claimed(row["driver_id"], row["valid_until"], row["seconds_left"]) for row in rows]


async def seconds_left(
    conn: Executor, market_id: str, offer_id: UUID, driver_id: UUID, seconds_left_min: float
) -> float | None:
    """How long the offer still stands, by the database's clock; None when this driver need not be rung for it."""
    return await conn.fetchval(
        *_sql.seconds_left.bind(
            driver_id=driver_id, market_id=market_id, offer_id=offer_id, seconds_left_min=seconds_left_min
        )
    )


async def settle(
    conn: Executor,
    market_id: str,
    offer_id: UUID,
    driver_id: UUID,
    outcome: RingOutcome,
    *,
    kind: str | None,
    device_id: str | None,
    attempts: int,
) -> None:
    """What became of a claimed ring."""
    await conn.execute(
        *_sql.settle_ring.bind(
            outcome=outcome,
            kind=kind,
            device_id=device_id,
            attempts=attempts,
            market_id=market_id,
            offer_id=offer_id,
            driver_id=driver_id,
        )
    )


async def insert_seen(conn: Connection, seen: Sequence[SeenOffer]) -> None:
    """The first time counts; offers that do not exist are ignored."""
    await conn.execute(
        *_seen_sql.insert_seen.bind(
            market_ids=[each.market_id for each in seen],
            offer_ids=[each.offer_id for each in seen],
            driver_ids=[each.driver_id for each in seen],
            seen_ats=[each.at for each in seen],
        )
    )


async def forget(conn: Connection, market_id: str, before: datetime, rows_max: int) -> int:
    """Delete at most rows_max rings, and as many seen offers, of before then; how many went."""
    rings = await conn.execute(*_sql.forget_rings.bind(market_id=market_id, rung_before=before, rows_max=rows_max))
    seen = await conn.execute(*_seen_sql.forget_seen.bind(market_id=market_id, seen_before=before, rows_max=rows_max))
    return sum(int(status.rpartition(" ")[2]) for status in (rings, seen))
