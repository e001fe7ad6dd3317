"""The phone's side of the driver protocol as a pure machine: the mirror of `session`.

    OFFLINE ──open()──▶ OPENING ──snapshot, or live──▶ LIVE
       ▲                   │                            │
       └────── lost() ─────┴────────────────────────────┘

It lives as long as the app: it remembers where to resume, which commands still wait for their answer, and what the
driver knows. The shell puts each SendFrame on the socket, calls `tick` at `next_deadline`, and `open` on every new
socket. Time is monotonic seconds, given by the caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import TypeAlias, assert_never

import msgspec

from flexlive.protocol.client_frames import (
    Ack,
    Command,
    Heartbeat,
    Hello,
    Location,
    OfferAccept,
    OfferDecline,
    Point,
    Resume,
    Signal,
)
from flexlive.protocol.close_codes import CloseCode
from flexlive.protocol.codec import BadFrame, Unknown, decode_server, encode_client
from flexlive.protocol.driver_state import DriverState as DriverState
from flexlive.protocol.limits import HEARTBEAT_SECONDS, HEARTBEATS_MISSED_MAX, UNACKED_CMDS_MAX
from flexlive.protocol.server_frames import (
    DeliveryUpdate,
    Drain,
    EnrolmentUpdate,
    Error,
    EtaUpdate,
    FactMessage,
    Live,
    Notice,
    OfferDecided,
    OfferGone,
    OfferOpen,
    OfferUpdate,
    QueueUpdate,
    Reset,
    Result,
    Resumed,
    RouteUpdate,
    ServerHeartbeat,
    ServerMessage,
    Skip,
    Snapshot,
    Welcome,
)


@dataclass(frozen=True, slots=True)
class SendFrame:
    data: bytes


@dataclass(frozen=True, slots=True)
class CloseSocket:
    """Close from this side; then `lost` and a new `open`."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Opened:
    """The state is complete and current. resumed: nothing was lost since the last connection."""

    resumed: bool


@dataclass(frozen=True, slots=True)
class Applied:
    """A server message, after it was applied to the state."""

    message: ServerMessage


@dataclass(frozen=True, slots=True)
class Answered:
    """The one answer to a command. `rate_limited` decided nothing: send the same command again later."""

    result: Result


@dataclass(frozen=True, slots=True)
class Violation:
    """The server broke the protocol."""

    text: str


Effect: TypeAlias = SendFrame | CloseSocket | Opened | Applied | Answered | Violation


class PendingFull(Exception):  # noqa: N818 - a limit, not a failure
    """Too many commands wait for their answers."""


class _Phase(Enum):
    OFFLINE = "offline"
    OPENING = "opening"
    LIVE = "live"


class ClientSession:
    """One driver's app. pending: commands without an answer, by cmd, oldest first."""

    def __init__(self, *, app_version: str, device_id: str) -> None:
        self._app_version, self._device_id = app_version, device_id
        self.state = DriverState()
        self.pending: dict[str, Command] = {}
        self.seq = 0
        self._session: tuple[str, str] | None = None  # sid, epoch
        self._replay_upto: int | None = None
        self._asked: frozenset[str] = frozenset()
        self._phase = _Phase.OFFLINE
        self._heartbeat_seconds = HEARTBEAT_SECONDS
        self._ack_at: float | None = None
        self._sent_at = self._received_at = 0.0

    def open(self, position: Point | None, now: float) -> bytes:
        """The hello for a socket that is up: resumes if there is something to resume."""
        self._phase = _Phase.OPENING
        self._sent_at = self._received_at = now
        self._ack_at, self._replay_upto = None, None
        unacked = tuple(self.pending)[:UNACKED_CMDS_MAX]
        self._asked = frozenset(unacked)
        resume = None if self._session is None else Resume(sid=self._session[0], epoch=self._session[1], seq=self.seq)
        return encode_client(
            Hello(
                app_version=self._app_version,
                device_id=self._device_id,
                position=position,
                resume=resume,
                inbox_seq=self.state.inbox_seq,
                unacked=unacked,
            )
        )

    def received(self, frame: bytes | str, now: float, ack_delay_seconds: float) -> list[Effect]:
        """A frame came in. ack_delay_seconds: how long this fact's ack may wait (random, 0 to 1)."""
        self._received_at = now
        message = decode_server(frame)
        match message:
            case Unknown():
                return []
            case BadFrame(message=text):
                return [Violation(text)]
            case Welcome() | Reset():
                return self._begun(message)
            case Snapshot():
                return self._snapshot(message, now)
            case Resumed():
                return self._resumed(message)
            case Live():
                return self._went_live(message, now)
            case Result():
                return [Applied(message), *self._answered(message)]
            case ServerHeartbeat() | Drain() | Error() | EtaUpdate() | QueueUpdate():
                return [Applied(message)]
            case (
                OfferOpen() | OfferUpdate() | OfferGone() | OfferDecided() | RouteUpdate()
                | DeliveryUpdate() | Notice() | EnrolmentUpdate() | Skip()
            ):  # fmt: skip
                return self._fact(message, now, ack_delay_seconds)
            case _:
                assert_never(message)

    def command(self, command: Command, now: float) -> list[Effect]:
        """Remember a command until it is answered; send it now if the session is live, else after it opens."""
        if command.cmd not in self.pending and len(self.pending) >= UNACKED_CMDS_MAX:
            raise PendingFull
        self.pending[command.cmd] = command
        return [self._send(encode_client(command), now)] if self._phase is _Phase.LIVE else []

    def signal(self, signal: Signal, now: float) -> list[Effect]:
        """Send a signal; dropped while offline."""
        if self._phase is not _Phase.LIVE:
            return []
        if self._ack_at is not None and isinstance(signal, Location | Heartbeat):
            self._ack_at = None
            signal = msgspec.structs.replace(signal, ack=self.seq)
        return [self._send(encode_client(signal), now)]

    def tick(self, now: float) -> list[Effect]:
        """Whatever is due: an ack, a heartbeat, or giving up on a server that says nothing."""
        if self._phase is _Phase.OFFLINE:
            return []
        if now >= self._received_at + self._heartbeat_seconds * HEARTBEATS_MISSED_MAX:
            return [CloseSocket(CloseCode.HEARTBEAT_MISSED, "nothing heard")]
        if self._phase is _Phase.LIVE:
            if self._ack_at is not None and now >= self._ack_at:
                self._ack_at = None
                return [self._send(encode_client(Ack(seq=self.seq)), now)]
            if now >= self._sent_at + self._heartbeat_seconds:
                return self.signal(Heartbeat(), now)
        return []

    @property
    def next_deadline(self) -> float:
        """When `tick` has something to do; infinity while offline."""
        if self._phase is _Phase.OFFLINE:
            return inf
        silence_at = self._received_at + self._heartbeat_seconds * HEARTBEATS_MISSED_MAX
        if self._phase is _Phase.OPENING:
            return silence_at
        heartbeat_at = self._sent_at + self._heartbeat_seconds
        return min(silence_at, heartbeat_at, inf if self._ack_at is None else self._ack_at)

    def lost(self, now: float) -> None:  # noqa: ARG002 - mirrors the other inputs
        """The socket is gone, whoever closed it."""
        self._phase = _Phase.OFFLINE
        self._ack_at = None

    def _begun(self, message: Welcome | Reset) -> list[Effect]:
        if self._phase is not _Phase.OPENING:
            return [Violation("welcome in the middle of a session")]
        self._session = (message.sid, message.epoch)
        self.seq = message.seq
        self._heartbeat_seconds = message.heartbeat_seconds
        return [Applied(message), *self._stored(message.results)]

    def _resumed(self, message: Resumed) -> list[Effect]:
        if self._phase is not _Phase.OPENING or message.from_ != self.seq:
            return self._broken(f"resumed from {message.from_} instead of {self.seq}")
        self._replay_upto = message.to
        return [Applied(message), *self._stored(message.results)]

    def _snapshot(self, message: Snapshot, now: float) -> list[Effect]:
        self.state.replace(message)
        self.seq = message.seq
        if self._phase is _Phase.LIVE:
            return [Applied(message)]
        self._phase = _Phase.LIVE
        return [Applied(message), Opened(resumed=False), *self._unsent(now)]

    def _went_live(self, message: Live, now: float) -> list[Effect]:
        if self._replay_upto != self.seq:
            return self._broken(f"replay ended at {self.seq} instead of {self._replay_upto}")
        self._phase, self._replay_upto = _Phase.LIVE, None
        return [Applied(message), Opened(resumed=True), *self._unsent(now)]

    def _fact(self, message: FactMessage, now: float, ack_delay_seconds: float) -> list[Effect]:
        if message.seq != self.seq + 1:
            return self._broken(f"seq {message.seq} after {self.seq}")
        self.seq = message.seq
        self.state.apply(message)
        if self._ack_at is None:
            self._ack_at = now + ack_delay_seconds
        return [Applied(message)]

    def _answered(self, result: Result) -> list[Effect]:
        command = self.pending.pop(result.cmd, None)
        if command is None:
            return [] if result.cmd in self._asked else [Violation("an answer to no command")]
        if isinstance(command, OfferAccept):
            self.state.accept_answered(command.offer_id, result)
        elif isinstance(command, OfferDecline):
            self.state.decline_answered(command.offer_id, result)
        return [Answered(result)]

    def _stored(self, results: tuple[msgspec.Raw, ...]) -> list[Effect]:
        effects: list[Effect] = []
        for raw in results:
            effects += self._answered(msgspec.json.decode(raw, type=Result))
        return effects

    def _unsent(self, now: float) -> list[Effect]:
        # Commands the server has no answer for: those it never saw, and those given since hello.
        return [self._send(encode_client(command), now) for command in self.pending.values()]

    def _broken(self, text: str) -> list[Effect]:
        # What was missed is unknown, so the next hello asks for everything.
        self._session = None
        return [Violation(text), CloseSocket(CloseCode.PROTOCOL_VIOLATION, text)]

    def _send(self, data: bytes, now: float) -> SendFrame:
        self._sent_at = now
        return SendFrame(data)
