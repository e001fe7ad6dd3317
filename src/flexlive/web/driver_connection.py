"""One driver's socket: carries out what the pure session decides.

Inbound frames and pushed facts are handled synchronously, without a task; only an opening, a snapshot and the
queue of commands await anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from prometheus_client import Counter

from flexlive.protocol.client_frames import Location, NoticeSeen, OfferSeen, Point, Sync
from flexlive.protocol.close_codes import CloseCode
from flexlive.protocol.codec import BadFrame
from flexlive.protocol.session import (
    Acked,
    Begin,
    Close,
    Effect,
    Phase,
    Run,
    Send,
    ServerSession,
    SessionLimits,
    Signal,
)
from flexlive.realtime.board import Board
from flexlive.realtime.hub import HubFact
from flexlive.realtime.sessions import DriverSession, SessionStore
from flexlive.services import locations
from flexlive.services.context import Context
from flexlive.services.drivers import DriverPrincipal
from flexlive.web import driver_opening
from flexlive.web.command_queue import CommandQueue
from flexlive.web.links import Link
from flexlive.web.snapshot_batches import SnapshotBatches

_CLOSED = Counter("flexlive_sockets_closed_total", "Driver sockets closed by the server", ["code"])


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOptions:
    limits: SessionLimits = field(default_factory=SessionLimits)
    send_buffer_bytes_max: int = 128 * 1024
    stalled_seconds_max: float = 10.0
    stored_position_age_seconds_max: float = 600.0


@dataclass(frozen=True, slots=True)
class Edge:
    """What the connections of one process share. draw: uniform in [0, 1)."""

    ctx: Context
    board: Board
    sessions: SessionStore
    snapshots: SnapshotBatches
    options: ConnectionOptions
    draw: Callable[[], float]


class DriverConnection:
    """From the accepted handshake until `lost`."""

    __slots__ = ("_attached_at", "_commands", "_holding", "_named", "device_id", "edge", "inbox_seq", "link", "machine",
                 "principal", "session")  # fmt: skip

    def __init__(self, edge: Edge, principal: DriverPrincipal, link: Link) -> None:
        self.edge = edge
        self.principal = principal
        self.link = link
        self.machine = ServerSession(edge.ctx.monotonic(), edge.options.limits)
        self.session: DriverSession | None = None
        self._attached_at = 0.0
        self.device_id = ""
        self.inbox_seq = 0
        # Whether the phone has been told the session's name.
        self._named = False
        # Facts stay in the ring while an answer to hello or sync is being put together.
        self._holding = True
        self._commands = CommandQueue(self)

    # Inbound

    def frame_received(self, frame: str | bytes) -> None:
        now = self.edge.ctx.monotonic()
        if isinstance(frame, bytes):
            self.carry_out(self.machine.bad_frame(BadFrame("not_text", "frames are text")), now)
        else:
            self.carry_out(self.machine.received(frame, now), now)

    def carry_out(self, effects: Sequence[Effect], now: float) -> None:
        for effect in effects:
            match effect:
                case Send(data=data):
                    self.link.send(data)
                    self.machine.wrote(now)
                case Close(code=code, reason=reason):
                    _CLOSED.labels(code.value).inc()
                    self.link.close(code, reason)
                case Begin(hello=hello):
                    self.device_id, self.inbox_seq = hello.device_id, hello.inbox_seq
                    self.edge.ctx.spawn(driver_opening.open_session(self, hello))
                case Acked(seq=seq):
                    self._acked(seq, now)
                case Run(command=command):
                    self._commands.put(command)
                    if self.machine.phase is Phase.LIVE:
                        self._commands.start()
                case Signal(message=message):
                    self._signal(message)
                case _:
                    assert_never(effect)

    def close(self, code: CloseCode, reason: str) -> None:
        self.carry_out(self.machine.close(code, reason), self.edge.ctx.monotonic())

    @property
    def closed(self) -> bool:
        return self.machine.phase is Phase.CLOSED

    def on_tick(self, now: float) -> bool:
        """A turn of the timing wheel; False when the connection has ended and wants no more."""
        if self.closed:
            return False
        if self.link.stalled_seconds() >= self.edge.options.stalled_seconds_max:
            self.close(CloseCode.SLOW_CONSUMER, "not reading")
            return False
        oldest_at = self.session.ring.oldest_at if self.session is not None and not self._holding else None
        unacked_since = None if oldest_at is None else max(oldest_at, self._attached_at)
        self.carry_out(self.machine.tick(now, unacked_since), now)
        return not self.closed

    def lost(self) -> None:
        """The socket is gone: the session waits for the driver to come back."""
        self.machine.lost()
        # Commands not begun are sent again by the phone, which has no answer to them.
        self._commands.clear()
        session, self.session = self.session, None
        if session is None:
            return
        if self.edge.sessions.detach(session, self):
            self.edge.ctx.presence.disconnect(session.market_id, session.driver_id)
            if not self._named:
                self.edge.sessions.end(session)

    # Outbound: realtime.sessions.Socket

    def push(self, seq: int, fact: HubFact, now: float) -> None:
        if not self._holding:
            self._write(seq, fact, now)

    def replaced(self) -> None:
        self.session = None
        self.close(CloseCode.REPLACED, "another connection of this driver")

    def logged_out(self) -> None:
        self.session = None
        self.edge.ctx.presence.disconnect(self.principal.market_id, self.principal.driver_id)
        self.close(CloseCode.FORBIDDEN, "logged out")

    def suspended(self) -> None:
        self.session = None
        self.edge.ctx.presence.disconnect(self.principal.market_id, self.principal.driver_id)
        self.close(CloseCode.DEACTIVATED, "suspended")

    def joined(self, session: DriverSession) -> None:
        """This connection carries the session now; nothing is written before `release`."""
        self.session = session
        self.edge.ctx.presence.connect(session.market_id, session.driver_id)

    def hold(self) -> int:
        """Keep facts in the ring from now on; returns the last seq already written."""
        self._holding = True
        return 0 if self.session is None else self.session.ring.last_seq

    def release(self, after_seq: int, now: float) -> None:
        """Write what came in since after_seq, and everything further as it comes."""
        if self.session is None:
            return
        waiting = self.session.ring.after(after_seq)
        if waiting is None:
            self.close(CloseCode.SLOW_CONSUMER, "more facts than a session keeps")
            return
        self._holding = False
        self._attached_at = now
        for seq, fact in waiting:
            self._write(seq, fact, now)

    def went_live(self, after_seq: int) -> None:
        """The answer to hello is out, up to after_seq; commands that came in behind hello get their turn."""
        now = self.edge.ctx.monotonic()
        # Phones that come back together must not be sent heartbeats together ever after.
        self.machine.went_live(now, phase_seconds=self.edge.draw() * self.edge.options.limits.heartbeat_seconds)
        self._named = True
        self.release(after_seq, now)
        if not self.closed:
            self._commands.start()

    def located(self, points: Sequence[Point]) -> None:
        """Positions of this driver, oldest first."""
        ctx = self.edge.ctx
        now = ctx.clock()
        locations.record(ctx, self.principal, points, now)
        session = self.session
        if session is not None and self.machine.phase is Phase.LIVE:
            present = ctx.presence.get(session.market_id, session.driver_id)
            if present is not None:
                self.edge.board.move(session.seat, present.position.lat, present.position.lon, now)

    def _write(self, seq: int, fact: HubFact, now: float) -> None:
        if fact.template is None:
            return
        self.link.send_fact(fact.template, seq)
        self.machine.wrote(now)
        if self.link.buffered_bytes() > self.edge.options.send_buffer_bytes_max:
            self.close(CloseCode.SLOW_CONSUMER, "send buffer full")

    def _acked(self, seq: int, now: float) -> None:
        # Before the session is live an ack can only mean the one it resumes, which hello has told already.
        if self.session is not None and self.machine.phase is Phase.LIVE and not self.session.ring.ack(seq):
            self.carry_out(self.machine.close(CloseCode.PROTOCOL_VIOLATION, "ack of a fact never sent"), now)

    def _signal(self, message: Location | OfferSeen | NoticeSeen | Sync) -> None:
        match message:
            case Location(points=points):
                self.located(points)
            case Sync():
                # One that comes while another is being answered is answered with it.
                if not self._holding:
                    self.edge.ctx.spawn(driver_opening.send_snapshot(self, self.hold()))
            case NoticeSeen(notice_id=notice_id):
                ctx, who = self.edge.ctx, self.principal
                ctx.seen_notices.put(who.market_id, notice_id, who.driver_id, ctx.clock())
            case OfferSeen():
                # Told to whoever rings phones that have not seen an offer; nobody does yet.
                pass
            case _:
                assert_never(message)

    def answer(self, body: bytes) -> None:
        """The result of a command, unless the socket has ended meanwhile: then the phone asks again."""
        if not self.closed:
            self.carry_out([Send(body)], self.edge.ctx.monotonic())
