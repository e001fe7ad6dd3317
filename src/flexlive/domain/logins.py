"""Logging in by one-time code, and staying logged in by refresh tokens: what each attempt means. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

CODE_DIGITS: Final = 6
DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginOptions:
    """How long codes and tokens live, and how often one phone number may try.

    codes_per_phone_and_day_max × attempts_per_code_max bounds how often anybody can guess in a day.
    refresh_retry_seconds: so long an app that never got its new tokens may ask for them again.
    """

    code_ttl_seconds: float = 600.0
    code_resend_seconds: float = 60.0
    codes_per_phone_and_day_max: int = 10
    attempts_per_code_max: int = 5
    access_ttl_seconds: float = 900.0
    refresh_ttl_seconds: float = 30 * 86_400.0
    refresh_retry_seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class CodeSent:
    """The last code of a phone number, whether or not it is a driver's. counting_since: when codes_sent was 1."""

    attempts: int
    codes_sent: int
    counting_since: datetime
    expires_at: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True)
class CodeWrong:
    """It counts; attempts_left with this code."""

    attempts_left: int


CodeVerdict: TypeAlias = Literal["right", "dead", "exhausted"] | CodeWrong


def judge_code(sent: CodeSent | None, *, matches: bool, now: datetime, options: LoginOptions) -> CodeVerdict:
    """What an attempt means. dead: no code, or too old. exhausted: tried too often, so that no code helps."""
    if sent is None or sent.expires_at <= now:
        return "dead"
    if sent.attempts >= options.attempts_per_code_max:
        return "exhausted"
    return "right" if matches else CodeWrong(options.attempts_per_code_max - sent.attempts - 1)


def seconds_until_next_code(sent: CodeSent, now: datetime, options: LoginOptions) -> int:
    """How long a phone number must wait for another code; whole seconds, at least 1. 0 when it need not."""
    next_at = sent.created_at + timedelta(seconds=options.code_resend_seconds)
    if sent.codes_sent >= options.codes_per_phone_and_day_max:
        next_at = max(next_at, sent.counting_since + DAY)
    return 0 if next_at <= now else max(1, round((next_at - now).total_seconds()))


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token as stored. spent_by_sha256: the attempt that spent it, when the app named one.
    successor_used: whether a token that came of it has been spent in its turn."""

    expires_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None
    spent_by_sha256: bytes | None
    successor_used: bool


RefreshVerdict: TypeAlias = Literal["rotate", "repeat", "reused", "expired"]


def judge_refresh(
    token: RefreshToken, attempt_sha256: bytes | None, now: datetime, options: LoginOptions
) -> RefreshVerdict:
    """repeat: the same attempt once more, its answer was lost and nothing came of it: new tokens replace those.
    reused: somebody else has this token too, or had it: the whole login ends."""
    if token.revoked_at is not None:
        return "reused"
    if token.used_at is None:
        return "expired" if token.expires_at <= now else "rotate"
    same_attempt = attempt_sha256 is not None and attempt_sha256 == token.spent_by_sha256
    in_time = now - token.used_at <= timedelta(seconds=options.refresh_retry_seconds)
    return "repeat" if same_attempt and in_time and not token.successor_used else "reused"
