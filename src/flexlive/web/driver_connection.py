"""One driver's socket: carries out what the pure session decides.

Inbound frames and pushed facts are handled synchronously, without a task; only an opening, a snapshot and the
queue of commands await anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import assert_never
from uuid import UUID

from prometheus_client import Counter

from flexlive.domain.eta import worth_telling
from flexlive.protocol.client_frames import Location, NoticeSeen, OfferSeen, Point, Sync
from flexlive.protocol.close_codes import CloseCode
from flexlive.protocol.codec import BadFrame, encode_server
from flexlive.protocol.server_frames import EtaUpdate
from flexlive.protocol.session import (
    Acked,
    Begin,
    Close,
    Effect,
    Phase,
    Reachable,
    Run,
    Send,
    ServerSession,
    Signal,
)
from flexlive.realtime.hub import HubFact
from flexlive.realtime.sessions import DriverSession
from flexlive.services.drivers import DriverPrincipal
from flexlive.web import driver_opening
from flexlive.web.command_queue import CommandQueue
from flexlive.web.edge import ConnectionOptions as ConnectionOptions
from flexlive.web.edge import Edge as Edge
from flexlive.web.links import Link
from flexlive.web.outbound import Outbound

_CLOSED = Counter("flexlive_sockets_closed_total", "Driver sockets closed by the server", ["code"])


class DriverConnection:
    """From the accepted handshake until `lost`."""

    __slots__ = ("_attached_at", "_commands", "_eta_told", "_holding", "_named", "device_id", "edge", "hello_at",
                 "inbox_seq", "link", "machine", "outbound", "principal", "session")  # fmt: skip

    def __init__(self, edge: Edge, principal: DriverPrincipal, link: Link) -> None:
        self.edge = edge
        self.principal = principal
        self.link = link
        self.outbound = Outbound(link, edge.options)
        self.machine = ServerSession(edge.monotonic(), edge.options.limits)
        self.session: DriverSession | None = None
        self._attached_at = 0.0
        self.device_id = ""
        self.inbox_seq = 0
        self.hello_at = 0.0
        # Whether the phone has been told the session's name.
        self._named = False
        # Facts stay in the ring while an answer to hello or sync is being put together.
        self._holding = True
        self._eta_told: tuple[UUID, datetime] | None = None
        self._commands = CommandQueue(self)

    # Inbound

    def frame_received(self, frame: str | bytes) -> None:
        now = self.edge.monotonic()
        if isinstance(frame, bytes):
            self.carry_out(self.machine.bad_frame(BadFrame("not_text", "frames are text")), now)
        else:
            self.carry_out(self.machine.received(frame, now), now)

    def carry_out(self, effects: Sequence[Effect], now: float) -> None:
        for effect in effects:
            match effect:
                case Send(data=data):
                    self._written(self.outbound.send(data), now)
                case Close(code=code, reason=reason):
                    _CLOSED.labels(code.value).inc()
                    self.link.close(code, reason)
                case Begin(hello=hello):
                    self.device_id, self.inbox_seq, self.hello_at = hello.device_id, hello.inbox_seq, now
                    self.edge.spawn(driver_opening.open_session(self, hello))
                case Acked(seq=seq):
                    self._acked(seq, now)
                case Run(command=command):
                    self._commands.put(command)
                    if self.machine.phase is Phase.LIVE:
                        self._commands.start()
                case Signal(message=message):
                    self._signal(message)
                case Reachable(reachable=reachable):
                    self.edge.unreachable(self.principal.market_id, self.principal.driver_id, not reachable)
                case _:
                    assert_never(effect)

    def close(self, code: CloseCode, reason: str) -> None:
        self.carry_out(self.machine.close(code, reason), self.edge.monotonic())

    @property
    def closed(self) -> bool:
        return self.machine.phase is Phase.CLOSED

    def on_tick(self, now: float) -> bool:
        """A turn of the timing wheel; False when the connection has ended and wants no more."""
        if self.closed:
            return False
        if self.outbound.stalled():
            self.close(CloseCode.SLOW_CONSUMER, "not reading")
            return False
        self.carry_out(self.machine.tick(now, self._unacked_since()), now)
        return not self.closed

    def drained(self) -> None:
        """The phone has caught up: the newest of each state it has missed."""
        self._flush()

    def lost(self) -> None:
        """The socket is gone: the session waits for the driver to come back."""
        self.machine.lost()
        # Commands not begun are sent again by the phone, which has no answer to them.
        self._commands.clear()
        session, self.session = self.session, None
        if session is None:
            return
        if self.edge.sessions.detach(session, self):
            self.edge.presence.disconnect(session.market_id, session.driver_id)
            if not self._named:
                self.edge.sessions.end(session)

    # Outbound: realtime.sessions.Socket

    def push(self, seq: int, fact: HubFact, now: float) -> None:
        if not self._holding:
            self._write(seq, fact, now)

    def replaced(self) -> None:
        self.session = None
        who = self.principal
        if self.edge.sessions.find(who.market_id, who.driver_id) is None:
            # By a connection to another process: the driver is no longer here.
            self.edge.presence.disconnect(who.market_id, who.driver_id)
        self.close(CloseCode.REPLACED, "another connection of this driver")

    def logged_out(self) -> None:
        self.session = None
        self.edge.presence.disconnect(self.principal.market_id, self.principal.driver_id)
        self.close(CloseCode.FORBIDDEN, "logged out")

    def suspended(self) -> None:
        self.session = None
        self.edge.presence.disconnect(self.principal.market_id, self.principal.driver_id)
        self.close(CloseCode.DEACTIVATED, "suspended")

    def joined(self, session: DriverSession) -> None:
        """This connection carries the session now; nothing is written before `release`."""
        self.session = session
        session.hello_at = self.hello_at
        self.edge.presence.connect(session.market_id, session.driver_id)

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
        for seq, fact in waiting:
            self._write(seq, fact, now)
        self._flush()

    def went_live(self, after_seq: int) -> None:
        """The answer to hello is out, up to after_seq; commands that came in behind hello get their turn."""
        now = self.edge.monotonic()
        # Phones that come back together must not be sent heartbeats together ever after.
        self.machine.went_live(now, phase_seconds=self.edge.draw() * self.edge.options.limits.heartbeat_seconds)
        self._named = True
        # Only now: facts that have waited for an ack through a `sync` have waited all the same.
        self._attached_at = now
        self.release(after_seq, now)
        if not self.closed:
            self._commands.start()

    def located(self, points: Sequence[Point]) -> None:
        """Positions of this driver, oldest first."""
        now = self.edge.clock()
        eta = self.edge.located(self.principal, points, now)
        session = self.session
        if session is None or self.machine.phase is not Phase.LIVE:
            return
        present = self.edge.presence.get(session.market_id, session.driver_id)
        if present is not None:
            self.edge.board.move(session.seat, present.position.lat, present.position.lon, now)
        told = self._eta_told[1] if eta is not None and self._eta_told and self._eta_told[0] == eta.stop_id else None
        if eta is not None and worth_telling(told, eta.eta_at, step_seconds=eta.step_seconds):
            self._eta_told = eta.stop_id, eta.eta_at
            self.state("eta.update", encode_server(EtaUpdate(stop_id=eta.stop_id, eta_at=eta.eta_at)))

    def state(self, key: str, frame: bytes) -> None:
        """Tell the phone how something stands; the newest of each key wins, and it waits while the phone is behind."""
        if not self.closed:
            self.outbound.state(key, frame)
            self._flush()

    def send_snapshot(self, frame: bytes) -> None:
        self._written(self.outbound.send_snapshot(frame), self.edge.monotonic())

    def _write(self, seq: int, fact: HubFact, now: float) -> None:
        if fact.template is not None:
            self._written(self.outbound.send_fact(fact.template, seq), now)

    def _written(self, within_bounds: bool, now: float) -> None:
        self.machine.wrote(now)
        if not within_bounds:
            self.close(CloseCode.SLOW_CONSUMER, "send buffer full")

    def _flush(self) -> None:
        if not self._holding and not self.closed and self.outbound.flush():
            self.machine.wrote(self.edge.monotonic())

    def _unacked_since(self) -> float | None:
        if self.session is None or self._holding:
            return None
        oldest_at = self.session.ring.oldest_at
        return None if oldest_at is None else max(oldest_at, self._attached_at)

    def _acked(self, seq: int, now: float) -> None:
        # Before the session is live an ack can only mean the one it resumes, which hello has told already.
        if self.session is None or self.machine.phase is not Phase.LIVE:
            return
        if self.session.ring.ack(seq):
            self.carry_out(self.machine.acked(now, self._unacked_since()), now)
        else:
            self.carry_out(self.machine.close(CloseCode.PROTOCOL_VIOLATION, "ack of a fact never sent"), now)

    def _signal(self, message: Location | OfferSeen | NoticeSeen | Sync) -> None:
        match message:
            case Location(points=points):
                self.located(points)
            case Sync():
                # One that comes while another is being answered is answered with it.
                if not self._holding:
                    self.edge.spawn(driver_opening.send_snapshot(self, self.hold()))
            case NoticeSeen():
                self.edge.notice_seen(self.principal, message)
            case OfferSeen():
                self.edge.offer_seen(self.principal, message)
            case _:
                assert_never(message)

    def answer(self, body: bytes) -> None:
        """The result of a command, unless the socket has ended meanwhile: then the phone asks again."""
        if not self.closed:
            self.carry_out([Send(body)], self.edge.monotonic())
