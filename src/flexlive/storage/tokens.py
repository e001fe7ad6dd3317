"""Tokens as rows; only their SHA-256 is here. Merchant keys are in merchants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from flexlive.storage.pool import Connection, Executor
from flexlive.storage.queries import load

TokenRowKind = Literal["driver", "refresh", "ticket", "track", "ops"]

_sql = load("tokens")


@dataclass(frozen=True, slots=True)
class NewToken:
    """subject: the driver, delivery or operator it speaks for. family: what one revocation ends together."""

    token_sha256: bytes
    subject_id: UUID
    family_id: UUID


@dataclass(frozen=True, slots=True)
class LiveToken:
    subject_id: UUID
    family_id: UUID
    expires_at: datetime


async def insert(
    conn: Executor,
    market_id: str,
    kind: TokenRowKind,
    tokens: Sequence[NewToken],
    *,
    expires_at: datetime,
    created_at: datetime,
) -> None:
    """Store tokens; one that is already there stays as it is."""
    await conn.execute(
        *_sql.insert_tokens.bind(
            market_id=market_id,
            kind=kind,
            token_sha256s=[token.token_sha256 for token in tokens],
            subject_ids=[token.subject_id for token in tokens],
            family_ids=[token.family_id for token in tokens],
            expires_at=expires_at,
            created_at=created_at,
        )
    )


async def live(
    conn: Executor, market_id: str, kind: TokenRowKind, token_sha256: bytes, now: datetime
) -> LiveToken | None:
    """The token when it still holds; unknown, expired, revoked and used ones look alike."""
    row = await conn.fetchrow(*_sql.live_token.bind(market_id=market_id, token_sha256=token_sha256, kind=kind, now=now))
    return None if row is None else LiveToken(row["subject_id"], row["family_id"], row["expires_at"])


async def spend(conn: Executor, market_id: str, token_sha256: bytes, now: datetime) -> tuple[UUID, UUID] | None:
    """Spend a ticket: (driver, family) for exactly one caller, None for all others."""
    row = await conn.fetchrow(*_sql.spend_ticket.bind(market_id=market_id, token_sha256=token_sha256, now=now))
    return None if row is None else (row["subject_id"], row["family_id"])


async def revoke(conn: Executor, market_id: str, token_sha256: bytes, now: datetime) -> bool:
    """True when this call ended it."""
    row = await conn.fetchrow(*_sql.revoke_token.bind(market_id=market_id, token_sha256=token_sha256, now=now))
    return row is not None


async def revoke_family(conn: Executor, market_id: str, family_id: UUID, now: datetime) -> int:
    """End every token of a family; how many there were."""
    return len(await conn.fetch(*_sql.revoke_family.bind(market_id=market_id, family_id=family_id, now=now)))


async def revoke_subject(conn: Executor, market_id: str, kind: TokenRowKind, subject_id: UUID, now: datetime) -> int:
    """End every token of a kind that speaks for this subject; how many there were."""
    return len(
        await conn.fetch(*_sql.revoke_subject.bind(market_id=market_id, kind=kind, subject_id=subject_id, now=now))
    )


async def forget(conn: Connection, market_id: str, expired_before: datetime, rows_max: int) -> int:
    """Delete at most rows_max tokens that ended before then; how many went."""
    status = await conn.execute(
        *_sql.forget_tokens.bind(market_id=market_id, expired_before=expired_before, rows_max=rows_max)
    )
    return int(status.rpartition(" ")[2])
