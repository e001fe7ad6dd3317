"""Logging in by one-time code. A number nobody drives under is treated alike in every step but the sending, which
happens after the answer: neither content nor timing tells whose number is a driver's."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

from flexlive.domain.drivers import DriverStatus
from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.domain.logins import (
    CODE_DIGITS,
    DAY,
    CodeVerdict,
    CodeWrong,
    LoginOptions,
    judge_code,
    seconds_until_next_code,
)
from flexlive.protocol import driver_http as wire
from flexlive.services import codes
from flexlive.services.account import open_login
from flexlive.services.code_sender import CodeSender
from flexlive.services.context import Context
from flexlive.storage import login_codes as rows
from flexlive.storage.pool import Connection
from flexlive.storage.transaction import transaction

_NO_CODE: Final = bytes(32)


@dataclass(frozen=True, slots=True)
class LoginDesk:
    """Where drivers log in: how codes travel, and the bounds."""

    sender: CodeSender
    options: LoginOptions


async def ask_for_code(ctx: Context, desk: LoginDesk, ask: wire.AskForCode) -> wire.CodeAsked:
    """Send a new code. FlexliveError: market_unknown; rate_limited with retry_after_seconds."""
    await ctx.rules.get(ctx.pool, ask.market_id, ctx.monotonic())
    now, options = ctx.clock(), desk.options
    code = codes.digits(ctx.new_secret(), "login code", CODE_DIGITS)
    async with transaction(ctx.pool) as conn:
        stored = await rows.put(
            conn,
            ask.market_id,
            ask.phone,
            _code_sha256(ask.market_id, ask.phone, code),
            now=now,
            expires_at=now + timedelta(seconds=options.code_ttl_seconds),
            resend_before=now - timedelta(seconds=options.code_resend_seconds),
            day_before=now - DAY,
            codes_max=options.codes_per_phone_and_day_max,
        )
        driver = await rows.driver_of(conn, ask.market_id, ask.phone)
        sent = None if stored else await rows.sent(conn, ask.market_id, ask.phone)
    if not stored:
        wait = 1 if sent is None else max(1, seconds_until_next_code(sent, now, options))
        raise FlexliveError(
            ErrorCode.RATE_LIMITED, "a code was sent; wait before the next one", retry_after_seconds=wait
        )
    if driver is not None:
        ctx.spawn(desk.sender.send(ask.market_id, ask.phone, code))
    return wire.CodeAsked(
        expires_in_seconds=round(options.code_ttl_seconds), resend_after_seconds=round(options.code_resend_seconds)
    )


async def log_in(ctx: Context, desk: LoginDesk, ask: wire.LogIn) -> wire.DriverTokens:
    """Tokens of a new login for the right code, once.

    FlexliveError: wrong_code (with attempts_left unless there is no code), attempts_exhausted, deactivated.
    """
    async with transaction(ctx.pool) as conn:
        verdict, driver_id = await _judge(ctx, conn, desk, ask)
        # A refusal must not undo that the attempt was counted: raised after the commit.
        tokens = None if driver_id is None else await open_login(ctx, conn, ask.market_id, driver_id, desk.options)
    if tokens is not None:
        ctx.committed(ask.market_id)
        return tokens
    match verdict:
        case CodeWrong(attempts_left):
            raise FlexliveError(ErrorCode.WRONG_CODE, attempts_left=attempts_left)
        case "exhausted":
            raise FlexliveError(ErrorCode.ATTEMPTS_EXHAUSTED, "ask for a new code")
        case "dead":
            raise FlexliveError(ErrorCode.WRONG_CODE)
        case "right":
            raise FlexliveError(ErrorCode.DEACTIVATED)


async def _judge(ctx: Context, conn: Connection, desk: LoginDesk, ask: wire.LogIn) -> tuple[CodeVerdict, UUID | None]:
    """(verdict, the driver who may come in); every path asks the same of the database until the code is right."""
    stored = await rows.lock(conn, ask.market_id, ask.phone)
    driver = await rows.driver_of(conn, ask.market_id, ask.phone)
    expected, sent = stored if stored is not None else (_NO_CODE, None)
    same = hmac.compare_digest(expected, _code_sha256(ask.market_id, ask.phone, ask.code))
    verdict = judge_code(sent, matches=same and driver is not None, now=ctx.clock(), options=desk.options)
    if isinstance(verdict, CodeWrong):
        await rows.count_attempt(conn, ask.market_id, ask.phone)
    if verdict != "right" or driver is None:
        return verdict, None
    await rows.spend(conn, ask.market_id, ask.phone)
    return verdict, driver.driver_id if driver.status == DriverStatus.ACTIVE else None


def _code_sha256(market_id: str, phone: str, code: str) -> bytes:
    # With the number in it, equal codes of two numbers do not look equal.
    return sha256(f"{market_id} {phone} {code}".encode()).digest()
