"""One driver's socket: carries out what the pure session decides.

Inbound frames and pushed facts are handled synchronously, without a task; only an opening, a snapshot and the
queue of commands await anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, assert_never

import structlog
from prometheus_client import Counter, Histogram

from flexlive.domain.errors import FlexliveError
from flexlive.protocol.client_frames import Command, Location, NoticeSeen, OfferSeen, Point, Sync
from flexlive.protocol.close_codes import CloseCode
from flexlive.protocol.codec import BadFrame, encode_result
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
from flexlive.services import commands, locations
from flexlive.services.context import Context
from flexlive.services.drivers import DriverPrincipal
from flexlive.storage.group_commit import QueueFullError
from flexlive.storage.transaction import OutcomeUnknownError
from flexlive.web import driver_opening
from flexlive.web.links import Link
from flexlive.web.snapshot_batches import SnapshotBatches

_CLOSED = Counter("flexlive_sockets_closed_total", "Driver sockets closed by the server", ["code"])
_COMMAND_SECONDS = Histogram(
    "flexlive_command_seconds", "From a command's turn to its answer", ["type"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5),
)  # fmt: skip
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOptions:
    limits: SessionLimits = field(default_factory=SessionLimits)
    send_buffer_bytes_max: int = 128 * 1024
    stalled_seconds_max: float = 10.0
    commands_queued_max: int = 16
    queue_full_retry_ms: int = 500
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

    __slots__ = ("_attached_at", "_commands", "_device_id", "_holding", "_running", "edge", "link", "machine",
                 "principal", "session")  # fmt: skip

    def __init__(self, edge: Edge, principal: DriverPrincipal, link: Link) -> None:
        self.edge = edge
        self.principal = principal
        self.link = link
        self.machine = ServerSession(edge.ctx.monotonic(), edge.options.limits)
        self.session: DriverSession | None = None
        self._attached_at = 0.0
        self._device_id = ""
        # Facts stay in the ring while an answer to hello or sync is being put together.
        self._holding = True
        self._commands: deque[Command] = deque()
        self._running = False

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
                    self._device_id = hello.device_id
                    self.edge.ctx.spawn(driver_opening.open_session(self, hello))
                case Acked(seq=seq):
                    self._acked(seq, now)
                case Run(command=command):
                    self._enqueue(command, now)
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
        was_open = self.machine.phase is not Phase.OPENING
        self.machine.lost()
        # Commands not begun are sent again by the phone, which has no answer to them.
        self._commands.clear()
        session, self.session = self.session, None
        if session is None:
            return
        if self.edge.sessions.detach(session, self):
            self.edge.ctx.presence.disconnect(session.market_id, session.driver_id)
            if not was_open:
                # The phone never learnt this session's name.
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

    def joined(self, session: DriverSession) -> None:
        """This connection carries the session now; nothing is written before `release`."""
        self.session = session
        self.edge.ctx.presence.connect(session.market_id, session.driver_id)

    def hold(self) -> int:
        """Keep facts in the ring from now on; returns the last seq already written."""
        self._holding = True
        return 0 if self.session is None else self.session.ring.last_seq

    @property
    def holding(self) -> bool:
        return self._holding

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

    def start_commands(self) -> None:
        """Commands that came in behind hello get their turn."""
        if self._commands and not self._running:
            self._running = True
            self.edge.ctx.spawn(self._run_commands())

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
                if not self._holding:
                    self.edge.ctx.spawn(driver_opening.send_snapshot(self))
            case OfferSeen() | NoticeSeen():
                # Told to whoever rings phones that have not seen an offer; nobody does yet.
                pass
            case _:
                assert_never(message)

    def _enqueue(self, command: Command, now: float) -> None:
        if len(self._commands) >= self.edge.options.commands_queued_max:
            self._answer(self._try_later(command), now)
            return
        self._commands.append(command)
        if self.machine.phase is Phase.LIVE:
            self.start_commands()

    async def _run_commands(self) -> None:
        # One at a time and in order: a phone's second command may depend on its first.
        while self._commands:
            command = self._commands.popleft()
            began = self.edge.ctx.monotonic()
            body = await self._execute(command)
            now = self.edge.ctx.monotonic()
            _COMMAND_SECONDS.labels(type(command).__struct_config__.tag).observe(now - began)
            if body is not None:
                self._answer(body, now)
        self._running = False

    async def _execute(self, command: Command) -> bytes | None:
        try:
            return await commands.execute(self.edge.ctx, self.principal, self._device_id, command)
        except QueueFullError:
            return self._try_later(command)
        except OutcomeUnknownError:
            self.close(CloseCode.INTERNAL, "outcome unknown")
        except FlexliveError as error:
            if error.entry.result_code is not None:
                return encode_result(command.cmd, ok=False, code=error.entry.result_code)
            self.close(CloseCode(error.entry.close_code or CloseCode.INTERNAL), error.code)
        except Exception:
            _log.exception("command failed", market_id=self.principal.market_id, type=type(command).__name__)
            self.close(CloseCode.INTERNAL, "internal error")
        return None

    def _try_later(self, command: Command) -> bytes:
        retry_after_ms = self.edge.options.queue_full_retry_ms
        return encode_result(command.cmd, ok=False, code="rate_limited", retry_after_ms=retry_after_ms)

    def _answer(self, body: bytes, now: float) -> None:
        if not self.closed:
            self.carry_out([Send(body)], now)


if TYPE_CHECKING:
    from flexlive.realtime.sessions import Socket

    def _is_a_socket(connection: DriverConnection) -> Socket:
        return connection
