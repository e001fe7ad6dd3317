"""Packages changing hands: scans, pickup, hand-over, proofs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from flexlive.storage.pool import Connection
from flexlive.storage.queries import load

_sql = load("routes")


async def scan(
    conn: Connection, market_id: str, delivery_ids: Sequence[UUID], barcode: str, at: datetime
) -> UUID | None:
    """Mark the package with that barcode as scanned; its delivery, or None when none of these has it."""
    row = await conn.fetchrow(
        *_sql.scan_package.bind(market_id=market_id, delivery_ids=delivery_ids, barcode=barcode, scanned_at=at)
    )
    return None if row is None else row["delivery_id"]


async def take(
    conn: Connection, market_id: str, delivery_ids: Sequence[UUID], missing: Mapping[UUID, str]
) -> list[UUID]:
    """Custody passes to the driver, except for the missing packages (id → reason); returns the packages taken."""
    if missing:
        await conn.fetch(
            *_sql.miss_packages.bind(market_id=market_id, package_ids=list(missing), reasons=list(missing.values()))
        )
    rows = await conn.fetch(
        *_sql.take_packages.bind(market_id=market_id, delivery_ids=delivery_ids, missing_ids=list(missing))
    )
    return [row["package_id"] for row in rows]


async def settle(conn: Connection, market_id: str, custodies: Mapping[UUID, str]) -> None:
    """Custody of what is held of these deliveries ends: delivered, returned, disposed or lost."""
    await conn.execute(
        *_sql.settle_packages.bind(
            market_id=market_id, delivery_ids=list(custodies), custodies=list(custodies.values())
        )
    )


async def unscan(conn: Connection, market_id: str, delivery_ids: Sequence[UUID]) -> None:
    """Still the store's: whoever comes next scans anew."""
    await conn.execute(*_sql.unscan_packages.bind(market_id=market_id, delivery_ids=delivery_ids))


async def rescan(
    conn: Connection, market_id: str, delivery_ids: Sequence[UUID], barcode: str, driver_id: UUID, at: datetime
) -> UUID | None:
    """Mark the held package with that barcode as read again by this driver; its delivery, or None when none of these
    has it."""
    row = await conn.fetchrow(
        *_sql.rescan_package.bind(
            market_id=market_id, delivery_ids=delivery_ids, barcode=barcode, driver_id=driver_id, rescanned_at=at
        )
    )
    return None if row is None else row["delivery_id"]


async def unrescan(conn: Connection, market_id: str, delivery_ids: Sequence[UUID]) -> None:
    await conn.execute(*_sql.unrescan_packages.bind(market_id=market_id, delivery_ids=delivery_ids))


async def record_recipient(
    conn: Connection, market_id: str, delivery_id: UUID, recipient: str | None, left_at: str | None
) -> None:
    """Who took it, or where it was left."""
    await conn.execute(
        *_sql.record_recipient.bind(market_id=market_id, delivery_id=delivery_id, recipient=recipient, left_at=left_at)
    )


async def insert_proof(
    conn: Connection,
    market_id: str,
    *,
    proof_id: UUID,
    delivery_id: UUID,
    kind: str,
    sha256: bytes | None,
    upload_id: str | None,
    occurred_at: datetime,
    received_at: datetime,
) -> None:
    await conn.execute(
        *_sql.insert_proof.bind(
            market_id=market_id,
            proof_id=proof_id,
            delivery_id=delivery_id,
            kind=kind,
            sha256=sha256,
            upload_id=upload_id,
            occurred_at=occurred_at,
            received_at=received_at,
        )
    )


async def proofs(conn: Connection, market_id: str, delivery_id: UUID) -> frozenset[str]:
    """Kinds of proof on record."""
    rows = await conn.fetch(*_sql.proofs.bind(market_id=market_id, delivery_id=delivery_id))
    return frozenset(row["kind"] for row in rows)


async def pincode(conn: Connection, market_id: str, delivery_id: UUID) -> tuple[str | None, int]:
    """(PIN or None, wrong attempts so far)."""
    row = await conn.fetchrow(*_sql.delivery_pincode.bind(market_id=market_id, delivery_id=delivery_id))
    return (None, 0) if row is None else (row["pincode"], row["proof_attempts"])


async def count_attempt(conn: Connection, market_id: str, delivery_id: UUID) -> int:
    """One more wrong PIN; returns the number of attempts."""
    row = await conn.fetchrow(*_sql.count_proof_attempt.bind(market_id=market_id, delivery_id=delivery_id))
    return 0 if row is None else row["proof_attempts"]


async def reset_pin_attempts(conn: Connection, market_id: str, delivery_id: UUID) -> None:
    """An operator has looked at it: the PIN may be tried again."""
    await conn.execute(*_sql.reset_proof_attempts.bind(market_id=market_id, delivery_id=delivery_id))
