"""Refresh tokens as rows: each is spent once; what a spent one means when it comes again is the domain's to say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from flexlive.domain.logins import RefreshToken
from flexlive.storage.pool import Connection, Executor
from flexlive.storage.queries import load

_sql = load("refresh_tokens")


@dataclass(frozen=True, slots=True)
class LoginToken:
    """The login that an access (`driver`) or `refresh` token is of."""

    driver_id: UUID
    family_id: UUID
    kind: str


async def login_of(conn: Executor, market_id: str, token_sha256: bytes) -> LoginToken | None:
    """Also for a token that is spent, expired or revoked."""
    row = await conn.fetchrow(*_sql.login_token.bind(market_id=market_id, token_sha256=token_sha256))
    return None if row is None else LoginToken(row["driver_id"], row["family_id"], row["kind"])


async def get(conn: Connection, market_id: str, token_sha256: bytes) -> RefreshToken | None:
    """The caller holds the driver's row."""
    row = await conn.fetchrow(*_sql.refresh_token.bind(market_id=market_id, token_sha256=token_sha256))
    return None if row is None else RefreshToken(**dict(row.items()))


async def spend(
    conn: Connection, market_id: str, token_sha256: bytes, spent_by_sha256: bytes | None, now: datetime
) -> None:
    await conn.execute(
        *_sql.spend_refresh.bind(
            market_id=market_id, token_sha256=token_sha256, spent_by_sha256=spent_by_sha256, now=now
        )
    )


async def revoke_successors(conn: Connection, market_id: str, token_sha256: bytes, now: datetime) -> None:
    """End what came of a spent token; tokens that were there before it was spent stay."""
    await conn.execute(*_sql.revoke_successors.bind(market_id=market_id, token_sha256=token_sha256, now=now))
