"""Secrets that speak for somebody: issued once in the clear, kept as SHA-256, revoked by row.

The tracking link is the exception that is not drawn but derived: HMAC of the delivery's id under a secret that only the
merchant's own API key yields. So a retried order gets the same link although nobody stored it, and a stolen database
yields no link at all.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.domain.ids import DEPLOYMENT, TokenKind, format_token, parse_token, token_sha256
from flexlive.services.causes import by_system
from flexlive.services.context import Context
from flexlive.storage import drivers as driver_rows
from flexlive.storage import events, merchants
from flexlive.storage import tokens as rows
from flexlive.storage.pool import Connection, Executor
from flexlive.storage.transaction import transaction

TICKET_TTL_SECONDS: Final = 30
OPS_TOKEN_TTL_DAYS_MAX: Final = 366
TRACK_TTL_AFTER_DEADLINE_DAYS: Final = 30
"""The outermost bound of a tracking link; it dies a day after the delivery has ended."""
MERCHANT_SCOPES_ALL: Final = ("deliveries",)

_LINK_LABEL: Final = b"flexlive tracking link 1"


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """The only copy of the token in the clear."""

    token: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class OpsPrincipal:
    """scope: the market it may act in, or DEPLOYMENT for all of them."""

    subject_id: UUID
    scope: str

    def acts_in(self, market_id: str) -> bool:
        return self.scope in (DEPLOYMENT, market_id)

    def require_market(self, market_id: str) -> None:
        """FlexliveError(market_unknown) for another operator's market: it looks like one that is not there."""
        if not self.acts_in(market_id):
            raise FlexliveError(ErrorCode.MARKET_UNKNOWN)

    def require_deployment(self) -> None:
        if self.scope != DEPLOYMENT:
            raise FlexliveError(ErrorCode.FORBIDDEN, "this token acts in one market only")


@dataclass(frozen=True, slots=True)
class MerchantPrincipal:
    """link_secret: 32 bytes from the key itself, never stored; tracking links are derived from it."""

    merchant_id: UUID
    scopes: frozenset[str]
    link_secret: bytes = field(repr=False)


async def issue_ops_token(ctx: Context, ttl: timedelta, market_id: str = DEPLOYMENT) -> IssuedToken:
    """A token for an operator: of one market, or of the whole deployment. ValueError for an absurd ttl."""
    if not timedelta(0) < ttl <= timedelta(days=OPS_TOKEN_TTL_DAYS_MAX):
        raise ValueError(f"an ops token lives up to {OPS_TOKEN_TTL_DAYS_MAX} days")
    now = ctx.clock()
    token = format_token(TokenKind.OPS, market_id, ctx.new_secret())
    row = rows.NewToken(token_sha256(token), ctx.new_id(), ctx.new_id())
    await rows.insert(ctx.pool, market_id, "ops", [row], expires_at=now + ttl, created_at=now)
    return IssuedToken(token, now + ttl)


async def verify_ops(ctx: Context, token: str) -> OpsPrincipal:
    """FlexliveError(unauthorized) for whatever is not a live ops token."""
    parts = parse_token(token)
    if parts is not None and parts.kind is TokenKind.OPS:
        live = await rows.live(ctx.pool, parts.market_id, "ops", token_sha256(token), ctx.clock())
        if live is not None:
            return OpsPrincipal(live.subject_id, parts.market_id)
    raise FlexliveError(ErrorCode.UNAUTHORIZED)


async def issue_merchant_key(conn: Connection, ctx: Context, merchant_id: UUID, scopes: Sequence[str]) -> str:
    """A key in the clear, once. The merchant must exist."""
    key = format_token(TokenKind.MERCHANT, DEPLOYMENT, ctx.new_secret())
    await merchants.insert_key(conn, merchant_id, token_sha256(key), list(scopes), ctx.clock())
    return key


async def verify_merchant(ctx: Context, key: str) -> MerchantPrincipal:
    """FlexliveError(unauthorized) for whatever is not a live merchant key."""
    parts = parse_token(key)
    if parts is not None and parts.kind is TokenKind.MERCHANT:
        row = await merchants.live_key(ctx.pool, token_sha256(key))
        if row is not None:
            return MerchantPrincipal(row.merchant_id, row.scopes, link_secret_of(key))
    raise FlexliveError(ErrorCode.UNAUTHORIZED)


def link_secret_of(api_key: str) -> bytes:
    """32 bytes that only a holder of the key can compute."""
    return hmac.digest(api_key.encode(), _LINK_LABEL, sha256)


def track_token(link_secret: bytes, market_id: str, delivery_id: UUID, link_version: int = 0) -> str:
    """The tracking token of a delivery: the same for the same key, unguessable without it.

    link_version: how often the links were ended before; the first link has none of it."""
    version = link_version.to_bytes(4) if link_version else b""
    mac = hmac.digest(link_secret, delivery_id.bytes + version, sha256)
    return format_token(TokenKind.TRACK, market_id, urlsafe_b64encode(mac).rstrip(b"=").decode())


async def store_track_token(
    conn: Executor, market_id: str, delivery_id: UUID, token: str, deadline_at: datetime, now: datetime
) -> None:
    """Make a derived link good; one that is known already stays as it is, revoked or not."""
    row = rows.NewToken(token_sha256(token), delivery_id, delivery_id)
    expires_at = max(now, deadline_at) + timedelta(days=TRACK_TTL_AFTER_DEADLINE_DAYS)
    await rows.insert(conn, market_id, "track", [row], expires_at=expires_at, created_at=now)


async def issue_driver_tokens(
    conn: Connection, ctx: Context, market_id: str, driver_ids: Sequence[UUID], ttl: timedelta
) -> list[IssuedToken]:
    """One access token a driver, each the first of its own family, in the order asked."""
    now = ctx.clock()
    issued = [IssuedToken(format_token(TokenKind.DRIVER, market_id, ctx.new_secret()), now + ttl) for _ in driver_ids]
    await rows.insert(
        conn,
        market_id,
        "driver",
        [
            rows.NewToken(token_sha256(each.token), driver_id, ctx.new_id())
            for each, driver_id in zip(issued, driver_ids, strict=True)
        ],
        expires_at=now + ttl,
        created_at=now,
    )
    return issued


async def issue_ticket(ctx: Context, market_id: str, driver_id: UUID, family_id: UUID) -> IssuedToken:
    """A single-use ticket for a socket; it belongs to the family of the token that asked, and dies with it."""
    now = ctx.clock()
    expires_at = now + timedelta(seconds=TICKET_TTL_SECONDS)
    ticket = format_token(TokenKind.TICKET, market_id, ctx.new_secret())
    row = rows.NewToken(token_sha256(ticket), driver_id, family_id)
    await rows.insert(ctx.pool, market_id, "ticket", [row], expires_at=expires_at, created_at=now)
    return IssuedToken(ticket, expires_at)


async def spend_ticket(ctx: Context, ticket: str) -> tuple[UUID, UUID] | None:
    """(driver_id, family_id) for the first to come within 30 s; None for everybody else."""
    parts = parse_token(ticket)
    if parts is None or parts.kind is not TokenKind.TICKET:
        return None
    return await rows.spend(ctx.pool, parts.market_id, token_sha256(ticket), ctx.clock())


async def revoke(ctx: Context, token: str) -> bool:
    """End one token or merchant key; True when this call did it. Open sockets of a driver end by family instead."""
    parts = parse_token(token)
    if parts is None:
        return False
    if parts.kind is TokenKind.MERCHANT:
        return await merchants.revoke_key(ctx.pool, token_sha256(token), ctx.clock())
    return await rows.revoke(ctx.pool, parts.market_id, token_sha256(token), ctx.clock())


async def revoke_driver_family(ctx: Context, market_id: str, driver_id: UUID, family_id: UUID) -> int:
    """End a login: its tokens at once, its sockets as soon as the event arrives. How many tokens there were."""
    now = ctx.clock()
    async with transaction(ctx.pool) as conn:
        if not await driver_rows.lock(conn, market_id, [driver_id]):
            raise FlexliveError(ErrorCode.NOT_FOUND)
        ended = await rows.revoke_family(conn, market_id, family_id, now)
        if ended:
            told = {"family_id": family_id}
            revoked = by_system(now).event("driver", driver_id, "driver.family_revoked", told)
            await events.append(conn, market_id, [revoked])
    if ended:
        ctx.committed(market_id)
    return ended
