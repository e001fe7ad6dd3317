"""The server's side of one driver connection as a pure machine: frames and ticks in, effects out.

    AWAIT_HELLO ──hello──▶ OPENING ──went_live()──▶ LIVE
         │                    │                       │
         └────────────────────┴──── any Close ────────┴──▶ CLOSED (everything further is ignored)

The shell carries the effects out in order, tells the machine with `wrote` whenever it put anything on the wire,
and calls `tick` every few seconds. Time is monotonic seconds, given by the caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias, assert_never

from flexlive.protocol import limits
from flexlive.protocol.client_frames import (
    Ack,
    ClientMessage,
    Command,
    CommandFrame,
    Heartbeat,
    Hello,
    Location,
    NoticeSeen,
    OfferSeen,
    Sync,
)
from flexlive.protocol.close_codes import CloseCode
from flexlive.protocol.codec import BadFrame, InvalidCommand, Unknown, decode_client, encode_result, encode_server
from flexlive.protocol.rate_limit import TokenBucket
from flexlive.protocol.server_frames import Drain, Error, ServerHeartbeat


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """What one connection may do. Frames: location, ack and heartbeat; everything else spends command tokens."""

    hello_deadline_seconds: float = limits.HELLO_DEADLINE_SECONDS
    heartbeat_seconds: float = limits.HEARTBEAT_SECONDS
    heartbeats_missed_max: int = limits.HEARTBEATS_MISSED_MAX
    unacked_unreachable_seconds: float = limits.UNACKED_UNREACHABLE_SECONDS
    unacked_close_seconds: float = limits.UNACKED_CLOSE_SECONDS
    bad_frames_max: int = limits.BAD_FRAMES_MAX
    commands_burst: int = limits.COMMANDS_BURST_PER_SECOND
    commands_per_minute: int = limits.COMMANDS_PER_MINUTE
    frames_burst: int = limits.FRAMES_BURST
    frames_per_second: int = limits.FRAMES_PER_SECOND
    refusals_per_minute_max: int = limits.RATE_LIMITED_ANSWERS_MAX


@dataclass(frozen=True, slots=True)
class Send:
    """Put this frame on the wire."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """Close the socket; nothing is sent after it."""

    code: CloseCode
    reason: str


@dataclass(frozen=True, slots=True)
class Begin:
    """Find or make the session, answer welcome/resumed/reset, then call `went_live`."""

    hello: Hello


@dataclass(frozen=True, slots=True)
class Acked:
    """The phone has applied every fact up to seq."""

    seq: int


@dataclass(frozen=True, slots=True)
class Run:
    """Carry the command out, after those before it, and send its one result."""

    command: Command


@dataclass(frozen=True, slots=True)
class Signal:
    """Take note; there is no answer (a `sync` is answered by a snapshot)."""

    message: Location | OfferSeen | NoticeSeen | Sync


@dataclass(frozen=True, slots=True)
class Reachable:
    """Whether the phone acknowledges what it is sent. False: nobody should count on it for now."""

    reachable: bool


Effect: TypeAlias = Send | Close | Begin | Acked | Run | Signal | Reachable


class Phase(Enum):
    AWAIT_HELLO = "await_hello"
    OPENING = "opening"
    LIVE = "live"
    CLOSED = "closed"


_HEARTBEAT_FRAME: Final = encode_server(ServerHeartbeat())


class ServerSession:
    """One connection, from the accepted handshake to its close."""

    __slots__ = (
        "_bad_frames",
        "_commands",
        "_frames",
        "_hello_hash",
        "_limits",
        "_opened_at",
        "_patience",
        "_reachable",
        "_received_at",
        "_written_at",
        "phase",
    )  # fmt: skip

    def __init__(self, now: float, session_limits: SessionLimits) -> None:
        self._limits = session_limits
        self.phase = Phase.AWAIT_HELLO
        self._opened_at = self._received_at = self._written_at = now
        self._bad_frames = 0
        self._hello_hash: int | None = None
        self._reachable = True
        self._commands = TokenBucket(session_limits.commands_burst, session_limits.commands_per_minute / 60, now)
        self._frames = TokenBucket(session_limits.frames_burst, session_limits.frames_per_second, now)
        refusals_max = session_limits.refusals_per_minute_max
        self._patience = TokenBucket(refusals_max, refusals_max / 60, now)

    def received(self, frame: bytes | str, now: float) -> list[Effect]:
        """A text frame came in."""
        if self.phase is Phase.CLOSED:
            return []
        self._received_at = now
        message = decode_client(frame)
        match message:
            case BadFrame():
                return self.bad_frame(message)
            case Unknown():
                return [] if self._commands.take(now) else self._refused(now)
            case InvalidCommand(cmd=cmd):
                if not self._commands.take(now):
                    return self._refused(now, cmd)
                return [Send(encode_result(cmd, ok=False, code="invalid"))]
            case _:
                return self._accepted(message, frame, now)

    def bad_frame(self, frame: BadFrame) -> list[Effect]:
        """A frame that is no message; the shell reports binary frames here too."""
        if self.phase is Phase.CLOSED:
            return []
        self._bad_frames += 1
        effects: list[Effect] = [Send(encode_server(Error(code=frame.code, message=frame.message)))]
        if self._bad_frames >= self._limits.bad_frames_max:
            effects += self.close(CloseCode.BAD_FRAMES, f"{self._bad_frames} bad frames")
        return effects

    def went_live(self, now: float, *, phase_seconds: float) -> None:
        """The opening has been answered in full. phase_seconds: how much sooner than a whole period the first
        heartbeat is due (random, so that phones that came together part)."""
        if self.phase is Phase.OPENING:
            self.phase = Phase.LIVE
            self._written_at = now - phase_seconds

    def wrote(self, now: float) -> None:
        self._written_at = now

    def tick(self, now: float, unacked_since: float | None) -> list[Effect]:
        """unacked_since: when the oldest fact not yet acknowledged was written on this connection."""
        match self.phase:
            case Phase.AWAIT_HELLO:
                if now - self._opened_at >= self._limits.hello_deadline_seconds:
                    # A phone on a bad link is late, not wrong: it may come back.
                    return self.close(CloseCode.HEARTBEAT_MISSED, "no hello")
                return []
            case Phase.OPENING | Phase.CLOSED:
                return []
            case Phase.LIVE:
                return self._tick_live(now, unacked_since)

    def acked(self, now: float, unacked_since: float | None) -> list[Effect]:
        """Facts were acknowledged; unacked_since as for `tick`."""
        return [] if self._reachable else self._judge_reach(now, unacked_since)

    def drain(self, reconnect_after_ms: int) -> list[Effect]:
        """The process is about to go: ask the phone to come back a little later."""
        if self.phase is Phase.CLOSED:
            return []
        return [Send(encode_server(Drain(reconnect_after_ms=reconnect_after_ms)))]

    def close(self, code: CloseCode, reason: str) -> list[Effect]:
        """End the connection from this side; [] if it has ended already."""
        if self.phase is Phase.CLOSED:
            return []
        self.phase = Phase.CLOSED
        return [Close(code, reason)]

    def lost(self) -> None:
        """The socket is gone."""
        self.phase = Phase.CLOSED

    def _accepted(self, message: ClientMessage, frame: bytes | str, now: float) -> list[Effect]:
        if self.phase is Phase.AWAIT_HELLO:
            if not isinstance(message, Hello):
                return self.close(CloseCode.PROTOCOL_VIOLATION, "the first frame is hello")
            self.phase = Phase.OPENING
            self._hello_hash = hash(frame)
            return [Begin(message)]
        if isinstance(message, Hello):
            if hash(frame) == self._hello_hash:
                # A link that repeats frames; the phone has done nothing wrong.
                return [] if self._commands.take(now) else self._refused(now)
            return self.close(CloseCode.PROTOCOL_VIOLATION, "one hello a connection")
        effects: list[Effect] = [] if message.ack is None else [Acked(message.ack)]
        match message:
            case Ack(seq=seq):
                return [*effects, Acked(seq)] if self._frames.take(now) else self._refused(now)
            case Heartbeat():
                return effects if self._frames.take(now) else self._refused(now)
            case Location():
                return [*effects, Signal(message)] if self._frames.take(now) else effects + self._refused(now)
            case OfferSeen() | NoticeSeen() | Sync():
                return [*effects, Signal(message)] if self._commands.take(now) else effects + self._refused(now)
            case CommandFrame():
                if not self._commands.take(now):
                    return effects + self._refused(now, message.cmd)
                return [*effects, Run(message)]
            case _:
                assert_never(message)

    def _refused(self, now: float, cmd: str | None = None) -> list[Effect]:
        if not self._patience.take(now):
            return self.close(CloseCode.RATE_LIMITED, "rate limited")
        if cmd is None:
            return []
        retry_after_ms = int(self._commands.wait_seconds(now) * 1000) + 1
        return [Send(encode_result(cmd, ok=False, code="rate_limited", retry_after_ms=retry_after_ms))]

    def _tick_live(self, now: float, unacked_since: float | None) -> list[Effect]:
        heartbeat_seconds = self._limits.heartbeat_seconds
        if now - self._received_at >= heartbeat_seconds * self._limits.heartbeats_missed_max:
            return self.close(CloseCode.HEARTBEAT_MISSED, "nothing heard")
        if (
            unacked_since is not None
            and now - unacked_since >= self._limits.unacked_close_seconds
            and self._written_at > unacked_since
        ):
            return self.close(CloseCode.SLOW_CONSUMER, "facts unacknowledged")
        effects = self._judge_reach(now, unacked_since)
        if now - self._written_at >= heartbeat_seconds:
            effects.append(Send(_HEARTBEAT_FRAME))
        return effects

    def _judge_reach(self, now: float, unacked_since: float | None) -> list[Effect]:
        reachable = unacked_since is None or now - unacked_since < self._limits.unacked_unreachable_seconds
        if reachable == self._reachable:
            return []
        self._reachable = reachable
        return [Reachable(reachable)]
