"""A driver's login from its first tokens to its end: a family of tokens that one revocation ends together."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Literal
from uuid import UUID

from flexlive.domain.drivers import DriverStatus, Presence
from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.domain.ids import TokenKind, TokenParts, format_token, parse_token, token_sha256
from flexlive.domain.logins import LoginOptions, judge_refresh
from flexlive.protocol import driver_http as wire
from flexlive.services.causes import by_driver
from flexlive.services.context import Context
from flexlive.storage import drivers as driver_rows
from flexlive.storage import push_targets, suspensions, tokens
from flexlive.storage import refresh_tokens as rows
from flexlive.storage.events import append
from flexlive.storage.pool import Connection
from flexlive.storage.transaction import transaction

EndReason = Literal["logged_out", "refresh_reused"]


async def open_login(
    ctx: Context, conn: Connection, market_id: str, driver_id: UUID, options: LoginOptions
) -> wire.DriverTokens:
    """The first tokens of a new family, in the caller's transaction; the caller tells ctx.committed."""
    now, family_id = ctx.clock(), ctx.new_id()
    await driver_rows.lock(conn, market_id, [driver_id])
    await _tell(conn, market_id, driver_id, "driver.logged_in", {"family_id": family_id}, now)
    return await _issue(ctx, conn, market_id, driver_id, family_id, options, now)


async def refresh(ctx: Context, options: LoginOptions, ask: wire.Refresh) -> wire.DriverTokens:
    """The next tokens of a login for its refresh token, once.

    One that was spent before ends the whole login, sockets too: two parties had it. Only the attempt that spent it may
    repeat itself, for a while and as long as nothing came of it; what it was given the first time then ends.
    FlexliveError: unauthorized, token_expired, deactivated.
    """
    parts = _parsed(ask.refresh_token, TokenKind.REFRESH)
    market_id, digest, now = parts.market_id, token_sha256(ask.refresh_token), ctx.clock()
    attempt = None if ask.attempt is None else sha256(ask.attempt.encode()).digest()
    issued: wire.DriverTokens | None = None
    async with transaction(ctx.pool) as conn:
        login = await rows.login_of(conn, market_id, digest)
        if login is None or login.kind != TokenKind.REFRESH:
            raise FlexliveError(ErrorCode.UNAUTHORIZED)
        await driver_rows.lock(conn, market_id, [login.driver_id])
        token = await rows.get(conn, market_id, digest)
        if token is None:
            raise FlexliveError(ErrorCode.UNAUTHORIZED)
        verdict = judge_refresh(token, attempt, now, options)
        if verdict == "reused":
            # Committed with the refusal: raising inside would undo it.
            await _end(conn, market_id, login.driver_id, login.family_id, "refresh_reused", now)
        elif verdict != "expired":
            standing = await suspensions.status(conn, market_id, login.driver_id)
            if standing is None or standing[0] != DriverStatus.ACTIVE:
                raise FlexliveError(ErrorCode.DEACTIVATED)
            if verdict == "repeat":
                await rows.revoke_successors(conn, market_id, digest, now)
            else:
                await rows.spend(conn, market_id, digest, attempt, now)
            issued = await _issue(ctx, conn, market_id, login.driver_id, login.family_id, options, now)
    if issued is not None:
        return issued
    if verdict == "expired":
        raise FlexliveError(ErrorCode.TOKEN_EXPIRED)
    ctx.principals.end(market_id, login.driver_id, ctx.monotonic())
    ctx.committed(market_id)
    raise FlexliveError(ErrorCode.UNAUTHORIZED)


async def log_out(ctx: Context, token: str) -> None:
    """End the login that an access or refresh token is of, also a spent or expired one; its sockets close, and the
    driver is offline. Repeating it changes nothing. FlexliveError(unauthorized) for anything else."""
    parts = _parsed(token, TokenKind.DRIVER, TokenKind.REFRESH)
    now = ctx.clock()
    async with transaction(ctx.pool) as conn:
        login = await rows.login_of(conn, parts.market_id, token_sha256(token))
        if login is None or login.kind != parts.kind:
            raise FlexliveError(ErrorCode.UNAUTHORIZED)
        await driver_rows.lock(conn, parts.market_id, [login.driver_id])
        ended = await _end(conn, parts.market_id, login.driver_id, login.family_id, "logged_out", now)
    if ended:
        # Other processes learn it by the fact; here the token is good for nothing from now on.
        ctx.principals.end(parts.market_id, login.driver_id, ctx.monotonic())
        ctx.committed(parts.market_id)


def _parsed(token: str, *kinds: TokenKind) -> TokenParts:
    parts = parse_token(token)
    if parts is None or parts.kind not in kinds:
        raise FlexliveError(ErrorCode.UNAUTHORIZED)
    return parts


async def _issue(
    ctx: Context,
    conn: Connection,
    market_id: str,
    driver_id: UUID,
    family_id: UUID,
    options: LoginOptions,
    now: datetime,
) -> wire.DriverTokens:
    access = format_token(TokenKind.DRIVER, market_id, ctx.new_secret())
    refresh_token = format_token(TokenKind.REFRESH, market_id, ctx.new_secret())
    access_expires_at = now + timedelta(seconds=options.access_ttl_seconds)
    refresh_expires_at = now + timedelta(seconds=options.refresh_ttl_seconds)
    new_access = tokens.NewToken(token_sha256(access), driver_id, family_id)
    new_refresh = tokens.NewToken(token_sha256(refresh_token), driver_id, family_id)
    await tokens.insert(conn, market_id, "driver", [new_access], expires_at=access_expires_at, created_at=now)
    await tokens.insert(conn, market_id, "refresh", [new_refresh], expires_at=refresh_expires_at, created_at=now)
    return wire.DriverTokens(
        driver_id=driver_id,
        access_token=access,
        access_expires_at=access_expires_at,
        refresh_token=refresh_token,
        refresh_expires_at=refresh_expires_at,
    )


async def _end(
    conn: Connection, market_id: str, driver_id: UUID, family_id: UUID, reason: EndReason, now: datetime
) -> bool:
    """False when it had ended before. The caller holds the driver's row."""
    if not await tokens.revoke_family(conn, market_id, family_id, now):
        return False
    await push_targets.delete_family(conn, market_id, family_id)
    # Nobody is there to take an offer; a login on another phone says online again.
    if reason == "logged_out" and await driver_rows.set_presence(
        conn, market_id, driver_id, Presence.OFFLINE.value, now
    ):
        gone = {"mode": Presence.OFFLINE.value, "filters": None}
        await _tell(conn, market_id, driver_id, "driver.presence", gone, now)
    told = {"family_id": family_id, "reason": reason}
    await _tell(conn, market_id, driver_id, "driver.family_revoked", told, now)
    return True


async def _tell(
    conn: Connection, market_id: str, driver_id: UUID, kind: str, data: Mapping[str, object], now: datetime
) -> None:
    await append(conn, market_id, [by_driver(driver_id, now, now).event("driver", driver_id, kind, data)])
