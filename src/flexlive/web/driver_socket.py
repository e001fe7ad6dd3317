"""`/v1/driver`: authenticates a WebSocket, runs it, and ends all of them in order when the process goes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs

import structlog
from litestar.types import Receive, Scope
from litestar.types import Send as AsgiSend
from prometheus_client import Counter, Gauge

from flexlive.domain.ids import TokenKind
from flexlive.protocol.close_codes import CloseCode
from flexlive.protocol.limits import SUBPROTOCOL
from flexlive.realtime.board import Board
from flexlive.realtime.sessions import SessionStore
from flexlive.realtime.timing_wheel import TimingWheel
from flexlive.services.context import Context
from flexlive.services.drivers import DriverPrincipal, Refused, authenticate, known
from flexlive.web.driver_connection import DriverConnection
from flexlive.web.edge import ConnectionOptions, edge_of
from flexlive.web.links import link_for
from flexlive.web.outages import log_failure
from flexlive.web.socket_door import DoorOptions, SocketDoor

TICKS_PER_TURN: Final = 64
TICK_CHUNK_SOCKETS: Final = 256

_OPEN = Gauge("flexlive_driver_sockets", "Driver sockets open", multiprocess_mode="livesum")
_REFUSED = Counter("flexlive_driver_sockets_refused_total", "Handshakes refused", ["reason"])
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayOptions:
    """tick_seconds: how often each socket's deadlines are looked at. drain_spread_seconds: over how long the phones
    of a stopping process are asked to come back."""

    connection: ConnectionOptions = field(default_factory=ConnectionOptions)
    tick_seconds: float = 2.5
    drain_spread_seconds: float = 8.0
    drain_notice_seconds: float = 1.0
    drain_batch_sockets: int = 500
    login_check_seconds: float = 300.0


class DriverGateway:
    """All driver sockets of this process. draw: uniform in [0, 1)."""

    def __init__(
        self,
        ctx: Context,
        board: Board,
        sessions: SessionStore,
        options: GatewayOptions | None = None,
        draw: Callable[[], float] = random.random,
        door: DoorOptions | None = None,
    ) -> None:
        self._options = options or GatewayOptions()
        self._ctx = ctx
        self._edge = edge_of(ctx, board, sessions, self._options.connection, draw)
        self._wheel: TimingWheel[DriverConnection] = TimingWheel(
            ctx.monotonic(), tick_seconds=self._options.tick_seconds, slots=TICKS_PER_TURN
        )
        self._connections: set[DriverConnection] = set()
        self._draining = False
        self._door = SocketDoor(door)

    async def asgi(self, scope: Scope, receive: Receive, send: AsgiSend) -> None:
        """The raw ASGI application to mount at `/v1/driver`."""
        if scope["type"] != "websocket":
            await _upgrade_required(send)
            return
        await receive()
        offered = SUBPROTOCOL in scope["subprotocols"]
        refusal: tuple[CloseCode, str] | None = None
        principal: DriverPrincipal | None = None
        if self._draining:
            refusal = (CloseCode.RESTART, "restarting")
        elif not offered:
            refusal = (CloseCode.UPGRADE_REQUIRED, f"speaks {SUBPROTOCOL}")
        elif not self._door.allows_origin(scope):
            refusal = (CloseCode.FORBIDDEN, "origin not allowed")
        else:
            principal, refusal = await self._authenticate(scope)
        await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL if offered else None, "headers": []})
        if principal is None:
            await _refuse(send, refusal or (CloseCode.FORBIDDEN, "unknown"))
            return
        with self._door.driver(principal.market_id, principal.driver_id) as admitted:
            if not admitted:
                await _refuse(send, (CloseCode.RATE_LIMITED, "too many sockets of this driver"))
                return
            await self._serve(DriverConnection(self._edge, principal, link_for(scope, receive, send)))

    async def run(self) -> None:
        """Turns the wheel: heartbeats, deadlines, sessions whose window has passed. Ends by cancellation."""
        while True:
            await asyncio.sleep(self._options.tick_seconds / 2)
            now = self._edge.monotonic()
            for index, connection in enumerate(self._wheel.advance(now), start=1):
                try:
                    wants_more = connection.on_tick(now)
                except Exception:
                    _log.exception("tick failed")
                    wants_more = False
                if wants_more:
                    self._wheel.schedule(connection, self._options.tick_seconds)
                if index % TICK_CHUNK_SOCKETS == 0:
                    await asyncio.sleep(0)
            self._edge.sessions.expire()

    async def drain(self) -> None:
        """Ask every phone to come back a little later, each at its own time, then close them in batches."""
        self._draining = True
        now = self._edge.monotonic()
        for connection in tuple(self._connections):
            wait_ms = int(self._edge.draw() * self._options.drain_spread_seconds * 1000)
            connection.carry_out(connection.machine.drain(wait_ms), now)
        if self._connections:
            await asyncio.sleep(self._options.drain_notice_seconds)
        remaining = tuple(self._connections)
        for start in range(0, len(remaining), self._options.drain_batch_sockets):
            for connection in remaining[start : start + self._options.drain_batch_sockets]:
                connection.close(CloseCode.RESTART, "restarting")
            await asyncio.sleep(0)

    @property
    def sessions(self) -> SessionStore:
        return self._edge.sessions

    async def _serve(self, connection: DriverConnection) -> None:
        ctx, principal = self._ctx, connection.principal
        ctx.principals.connected(principal, ctx.monotonic())
        self._connections.add(connection)
        _OPEN.set(len(self._connections))
        self._wheel.schedule(connection, self._edge.draw() * self._options.tick_seconds)
        if self._draining:
            # It was let in a moment before.
            connection.close(CloseCode.RESTART, "restarting")
        try:
            await connection.link.run(connection)
        finally:
            connection.lost()
            ctx.principals.lost(principal, ctx.monotonic())
            self._connections.discard(connection)
            _OPEN.set(len(self._connections))

    async def _authenticate(self, scope: Scope) -> tuple[DriverPrincipal | None, tuple[CloseCode, str] | None]:
        token = _token(scope)
        if token is None:
            return None, (CloseCode.FORBIDDEN, "no token")
        if (principal := known(self._ctx, token)) is not None:
            return principal, None
        with self._door.unauthenticated(scope) as admitted:
            if not admitted:
                return None, (CloseCode.RATE_LIMITED, "too many sockets of one address")
            return await self._look_up(token)

    async def _look_up(self, token: str) -> tuple[DriverPrincipal | None, tuple[CloseCode, str] | None]:
        try:
            who = await authenticate(self._ctx, token)
        except Exception as error:
            log_failure(_log, "authentication failed", error)
            return None, (CloseCode.INTERNAL, "try again")
        if not isinstance(who, Refused):
            return who, None
        match who.reason:
            case "expired":
                return None, (CloseCode.TOKEN_EXPIRED, "expired")
            case "deactivated":
                return None, (CloseCode.DEACTIVATED, "deactivated")
            case "unknown" | "revoked":
                return None, (CloseCode.FORBIDDEN, who.reason)


async def _refuse(send: AsgiSend, refusal: tuple[CloseCode, str]) -> None:
    code, reason = refusal
    _REFUSED.labels(reason).inc()
    # A browser cannot see the status of a refused handshake, only a close code.
    await send({"type": "websocket.close", "code": code, "reason": reason})


def _token(scope: Scope) -> str | None:
    """The bearer token of an app, else the ticket of a browser."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, token = value.decode("latin-1").partition(" ")
            return token.strip() if scheme.lower() == "bearer" and token.strip() else None
    tickets = parse_qs(scope["query_string"].decode("latin-1")).get("ticket")
    # An address ends up in logs and histories: only what is spent by this very request may stand in one.
    return tickets[0] if tickets and tickets[0].startswith(f"fl_{TokenKind.TICKET}_") else None


async def _upgrade_required(send: AsgiSend) -> None:
    headers = [(b"upgrade", b"websocket"), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": HTTPStatus.UPGRADE_REQUIRED, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
