"""Who a driver is and what a phone needs when it connects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from prometheus_client import Counter

from flexlive.domain import ids
from flexlive.domain.ids import TokenKind
from flexlive.protocol import views
from flexlive.protocol.driver import PresenceMode
from flexlive.services.causes import by_driver
from flexlive.services.context import Context
from flexlive.services.route_view import route_view
from flexlive.storage import drivers, routes, tokens
from flexlive.storage.events import append
from flexlive.storage.pool import Connection

_READS = Counter("flexlive_principal_reads_total", "Driver tokens looked up in the database")

INBOX_ROWS_MAX = 64 * 200
SNAPSHOT_ASKS_MAX = 64


@dataclass(frozen=True, slots=True)
class DriverPrincipal:
    """An authenticated driver. offer_types, pilots: what the driver might be shown when the token was checked, which
    was at checked_at (monotonic)."""

    market_id: str
    driver_id: UUID
    family_id: UUID
    token_sha256: bytes
    expires_at: datetime
    offer_types: frozenset[str]
    pilots: frozenset[UUID] = frozenset()
    checked_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Refused:
    reason: Literal["unknown", "expired", "revoked", "deactivated"]


@dataclass(frozen=True, slots=True)
class SnapshotAsk:
    """One connecting phone and the last inbox row it has."""

    driver_id: UUID
    inbox_seq: int = 0


@dataclass(frozen=True, slots=True)
class DriverSnapshot:
    """What the database knows of a driver; the board adds the open offers. active: may work at all.

    read_at: epoch seconds of the database's clock; what orders the connections of one driver."""

    active: bool
    presence: PresenceMode
    position: views.PositionView | None
    routes: tuple[views.RouteView, ...]
    inbox: tuple[views.InboxItem, ...]
    offer_types: frozenset[str]
    pilots: frozenset[UUID]
    read_at: float = 0.0


def known(ctx: Context, token: str) -> DriverPrincipal | None:
    """The driver of an access token that need not be looked up (services/principals); None for everybody else."""
    parts = ids.parse_token(token)
    if parts is None or parts.kind is not TokenKind.DRIVER:
        return None
    principal = ctx.principals.get(ids.token_sha256(token), ctx.monotonic())
    return principal if principal is not None and principal.expires_at > ctx.clock() else None


async def authenticate(ctx: Context, token: str) -> DriverPrincipal | Refused:
    """A driver or ticket token to its driver. A ticket is spent by this. Never raises on nonsense."""
    parts = ids.parse_token(token)
    if parts is None or parts.kind not in (TokenKind.DRIVER, TokenKind.TICKET):
        return Refused("unknown")
    sha256 = ids.token_sha256(token)
    checked_at = ctx.monotonic()
    _READS.inc()
    row = await drivers.authenticate(ctx.pool, parts.market_id, sha256)
    if row is None or row["kind"] != parts.kind.value:
        return Refused("unknown")
    now = ctx.clock()
    if row["revoked_at"] is not None:
        return Refused("revoked")
    if row["expires_at"] <= now:
        return Refused("expired")
    if row["status"] != "active":
        return Refused("deactivated")
    if parts.kind is TokenKind.TICKET and await tokens.spend(ctx.pool, parts.market_id, sha256, now) is None:
        return Refused("expired")
    await ctx.market_ready(parts.market_id)
    return DriverPrincipal(
        market_id=parts.market_id,
        driver_id=row["subject_id"],
        family_id=row["family_id"],
        token_sha256=sha256,
        expires_at=row["expires_at"],
        offer_types=frozenset(row["offer_types"]),
        pilots=frozenset(row["pilot_ids"]),
        checked_at=checked_at,
    )


async def snapshots(ctx: Context, market_id: str, asks: Sequence[SnapshotAsk]) -> dict[UUID, DriverSnapshot]:
    """State of up to SNAPSHOT_ASKS_MAX drivers of one market in a fixed number of queries; unknown ids are left out."""
    if len(asks) > SNAPSHOT_ASKS_MAX:
        raise ValueError(f"at most {SNAPSHOT_ASKS_MAX} drivers a snapshot")
    driver_ids = [ask.driver_id for ask in asks]
    async with ctx.pool.acquire() as conn:
        rows = await drivers.snapshots(conn, market_id, driver_ids)
        sheets = await routes.active(conn, market_id, driver_ids)
        behind = [(row["driver_id"], _seen(asks, row["driver_id"])) for row in rows if row["inbox_seq"] > 0]
        inbox = await drivers.inbox(conn, market_id, behind, ctx.clock(), INBOX_ROWS_MAX) if behind else []
    return {
        row["driver_id"]: DriverSnapshot(
            active=row["status"] == "active",
            presence=row["presence"],
            position=None
            if row["lat"] is None
            else views.PositionView(lat=row["lat"], lon=row["lon"], at=row["positioned_at"]),
            routes=tuple(route_view(sheet) for sheet in sheets if sheet.route["driver_id"] == row["driver_id"]),
            inbox=tuple(
                views.InboxItem(
                    inbox_seq=item["inbox_seq"], kind=item["kind"], body=item["body"], created_at=item["created_at"]
                )
                for item in inbox
                if item["driver_id"] == row["driver_id"]
            ),
            offer_types=frozenset(row["offer_types"]),
            pilots=frozenset(row["pilot_ids"]),
            read_at=row["read_at"],
        )
        for row in rows
    }


async def set_presence(
    conn: Connection, principal: DriverPrincipal, mode: PresenceMode, filters: object, now: datetime
) -> None:
    """Online or offline, in the caller's transaction; an event only when it changed."""
    if await drivers.set_presence(conn, principal.market_id, principal.driver_id, mode, now):
        cause = by_driver(principal.driver_id, now, now)
        data = {"mode": mode, "filters": filters}
        await append(conn, principal.market_id, [cause.event("driver", principal.driver_id, "driver.presence", data)])


def _seen(asks: Sequence[SnapshotAsk], driver_id: UUID) -> int:
    return next(ask.inbox_seq for ask in asks if ask.driver_id == driver_id)
