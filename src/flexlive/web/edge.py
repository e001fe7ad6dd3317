"""What the driver connections of one process share, and the few doors through which they reach the database.

Everything a connection does passes through these callables, so the same code runs over asyncio and PostgreSQL and on
a deterministic scheduler.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from flexlive.protocol.client_frames import Command, NoticeSeen, OfferSeen, Point
from flexlive.protocol.session import SessionLimits
from flexlive.realtime.board import Board
from flexlive.realtime.presence import Presence
from flexlive.realtime.sessions import SessionStore
from flexlive.services import commands, locations
from flexlive.services.context import Context
from flexlive.services.drivers import DriverPrincipal, DriverSnapshot, SnapshotAsk
from flexlive.services.locations import NextStopEta
from flexlive.web.snapshot_batches import SnapshotBatches


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOptions:
    """state_buffer_bytes_max: above it state messages wait, the newest of each key. send_buffer_bytes_max: above it,
    or stalled_seconds_max after state began to wait, a phone is a slow consumer."""

    limits: SessionLimits = field(default_factory=SessionLimits)
    state_buffer_bytes_max: int = 32 * 1024
    send_buffer_bytes_max: int = 128 * 1024
    stalled_seconds_max: float = 10.0
    stored_position_age_seconds_max: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """draw: uniform in [0, 1). clock: aware UTC. monotonic: seconds. spawn: runs a coroutine that handles its own
    errors. The others see `services`."""

    board: Board
    sessions: SessionStore
    presence: Presence
    options: ConnectionOptions
    draw: Callable[[], float]
    clock: Callable[[], datetime]
    monotonic: Callable[[], float]
    spawn: Callable[[Coroutine[Any, Any, None]], None]
    execute: Callable[[DriverPrincipal, str, Command], Awaitable[bytes]]
    stored_results: Callable[[DriverPrincipal, str, Sequence[str]], Awaitable[dict[str, bytes]]]
    snapshot: Callable[[str, SnapshotAsk], Awaitable[DriverSnapshot | None]]
    located: Callable[[DriverPrincipal, Sequence[Point], datetime], NextStopEta | None]
    """Takes positions; returns the arrival time at the driver's own next stop."""
    notice_seen: Callable[[DriverPrincipal, NoticeSeen], None]
    offer_seen: Callable[[DriverPrincipal, OfferSeen], None]
    unreachable: Callable[[str, UUID, bool], None]
    """(market_id, driver_id, whether the phone leaves facts unacknowledged)."""


def edge_of(
    ctx: Context, board: Board, sessions: SessionStore, options: ConnectionOptions, draw: Callable[[], float]
) -> Edge:
    """The edge of a server process."""

    def notice_seen(who: DriverPrincipal, message: NoticeSeen) -> None:
        ctx.seen_notices.put(who.market_id, message.notice_id, who.driver_id, ctx.clock())

    def offer_seen(who: DriverPrincipal, message: OfferSeen) -> None:
        ctx.seen_offers.put(who.market_id, message.offer_id, who.driver_id, ctx.clock())

    batches = SnapshotBatches(ctx)

    async def read(market_id: str, ask: SnapshotAsk) -> DriverSnapshot | None:
        return await batches.read(market_id, ask)

    return Edge(
        board=board,
        sessions=sessions,
        presence=ctx.presence,
        options=options,
        draw=draw,
        clock=ctx.clock,
        monotonic=ctx.monotonic,
        spawn=ctx.spawn,
        execute=partial(commands.execute, ctx),
        stored_results=partial(commands.stored_results, ctx),
        snapshot=read,
        located=partial(locations.record, ctx),
        notice_seen=notice_seen,
        offer_seen=offer_seen,
        unreachable=ctx.roster.set_unreachable,
    )
