"""One-time codes as rows, one a phone number: for numbers of drivers and of nobody alike, so that neither shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from flexlive.domain.logins import CodeSent
from flexlive.storage.pool import Connection, Executor, Record
from flexlive.storage.queries import load

_sql = load("login_codes")


@dataclass(frozen=True, slots=True)
class DriverOfPhone:
    driver_id: UUID
    status: str


async def put(
    conn: Executor,
    market_id: str,
    phone: str,
    code_sha256: bytes,
    *,
    now: datetime,
    expires_at: datetime,
    resend_before: datetime,
    day_before: datetime,
    codes_max: int,
) -> bool:
    """Store a new code; False when the last one is younger than resend_before, or codes_max were made since
    day_before."""
    row = await conn.fetchrow(
        *_sql.put_code.bind(
            market_id=market_id,
            phone=phone,
            code_sha256=code_sha256,
            now=now,
            expires_at=expires_at,
            resend_before=resend_before,
            day_before=day_before,
            codes_max=codes_max,
        )
    )
    return row is not None


async def sent(conn: Executor, market_id: str, phone: str) -> CodeSent | None:
    row = await conn.fetchrow(*_sql.code.bind(market_id=market_id, phone=phone))
    return None if row is None else _sent(row)


async def lock(conn: Connection, market_id: str, phone: str) -> tuple[bytes, CodeSent] | None:
    """(SHA-256 of the code, what is known of it); nobody else tries it until the transaction ends."""
    row = await conn.fetchrow(*_sql.lock_code.bind(market_id=market_id, phone=phone))
    return None if row is None else (row["code_sha256"], _sent(row))


async def count_attempt(conn: Connection, market_id: str, phone: str) -> None:
    await conn.execute(*_sql.count_attempt.bind(market_id=market_id, phone=phone))


async def spend(conn: Connection, market_id: str, phone: str) -> None:
    """A code opens one login."""
    await conn.execute(*_sql.spend_code.bind(market_id=market_id, phone=phone))


async def driver_of(conn: Executor, market_id: str, phone: str) -> DriverOfPhone | None:
    row = await conn.fetchrow(*_sql.driver_by_phone.bind(market_id=market_id, phone=phone))
    return None if row is None else DriverOfPhone(row["driver_id"], row["status"])


async def forget(conn: Connection, market_id: str, created_before: datetime, rows_max: int) -> int:
    """Delete at most rows_max codes made before then; how many went."""
    status = await conn.execute(
        *_sql.forget_codes.bind(market_id=market_id, created_before=created_before, rows_max=rows_max)
    )
    return int(status.rpartition(" ")[2])


def _sent(row: Record) -> CodeSent:
    return CodeSent(row["attempts"], row["codes_sent"], row["counting_since"], row["expires_at"], row["created_at"])
