"""What a driver's app sends and gets over HTTP instead of its socket. Fields nobody knows are ignored."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct, field

from flexlive.protocol.wire_types import Cmd

E164 = Annotated[str, Meta(pattern=r"^\+[1-9][0-9]{6,14}(?![\s\S])", description="a phone number in E.164")]
LoginCode = Annotated[str, Meta(pattern=r"^[0-9]{6}(?![\s\S])")]
MarketName = Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[!-~]+(?![\s\S])")]
TokenText = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[!-~]+(?![\s\S])")]


class Ticket(Struct, frozen=True, kw_only=True):
    """Opens one socket, once, until expires_at."""

    ticket: str
    expires_at: datetime


class AskForCode(Struct, frozen=True, kw_only=True):
    market_id: MarketName
    phone: E164


class CodeAsked(Struct, frozen=True, kw_only=True):
    """The same for every number: whether it is a driver's is not told."""

    expires_in_seconds: int
    resend_after_seconds: int


class LogIn(Struct, frozen=True, kw_only=True):
    market_id: MarketName
    phone: E164
    code: LoginCode


class Refresh(Struct, frozen=True, kw_only=True):
    """attempt: unique per refresh; with it the very same request may be repeated when its answer was lost."""

    refresh_token: TokenText
    attempt: Cmd | None = None


class DriverTokens(Struct, frozen=True, kw_only=True):
    """The only copies. access_token opens sockets and requests, refresh_token gives the next pair, once."""

    driver_id: UUID
    access_token: str
    access_expires_at: datetime
    refresh_token: str
    refresh_expires_at: datetime


class Upload(Struct, frozen=True, kw_only=True):
    """What was stored. sha256: 64 lowercase hex digits."""

    upload_id: str
    sha256: str
    media_type: str
    size_bytes: int
    created_at: datetime


class EarningsRow(Struct, frozen=True, kw_only=True):
    """One row of the ledger. event: what earned it, such as `delivery.delivered`. text: the same for people."""

    entry_id: UUID
    kind: str
    amount_cents: int
    delivery_id: UUID | None
    event: str
    reason_code: str | None
    earned_at: datetime
    text: str


class EarningsRoute(Struct, frozen=True, kw_only=True):
    """What a route earned that day; route_id is None for rows that belong to none."""

    route_id: UUID | None
    total_cents: int
    rows: tuple[EarningsRow, ...]


class EarningsDay(Struct, frozen=True, kw_only=True):
    """date: where the market is."""

    date: date
    total_cents: int
    routes: tuple[EarningsRoute, ...]


class Earnings(Struct, frozen=True, kw_only=True):
    """From the first day through the last; days without a row are left out."""

    from_: date = field(name="from")
    to: date
    time_zone: str
    currency: str
    total_cents: int
    days: tuple[EarningsDay, ...]
