"""The phone's side of the driver protocol as a pure machine: the mirror of `session`.

    OFFLINE ──open()──▶ OPENING ──snapshot, or live──▶ LIVE
       ▲                   │                            │
       └────── lost() ─────┴────────────────────────────┘

It lives as long as the app: it remembers where to resume, which commands still wait for their answer, and what the
driver knows. The shell puts each SendFrame on the socket, calls `tick` at `next_deadline`, and `open` on every new
socket. Time is monotonic seconds, given by the caller.

A link may repeat, drop or reorder frames: what came before is ignored, what comes too early waits a second for its
turn, and a hole ends the socket and asks for what is missing. Nothing is applied twice or out of order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import assert_never

import msgspec

from flexlive.protocol.client_effects import Answered as Answered
from flexlive.protocol.client_effects import Applied as Applied
from flexlive.protocol.client_effects import ClientPhase
from flexlive.protocol.client_effects import CloseSocket as CloseSocket
from flexlive.protocol.client_effects import Effect as Effect
from flexlive.protocol.client_effects import Opened as Opened
from flexlive.protocol.client_effects import PendingFull as PendingFull
from flexlive.protocol.client_effects import SendFrame as SendFrame
from flexlive.protocol.client_effects import Violation as Violation
from flexlive.protocol.client_frames import (
    Ack,
    Command,
    Heartbeat,
    Hello,
    Location,
    Point,
    Signal,
)
from flexlive.protocol.close_codes import CloseCode
from flexlive.protocol.codec import BadFrame, Unknown, decode_server, encode_client
from flexlive.protocol.driver_state import DriverState as DriverState
from flexlive.protocol.early_messages import EarlyMessages
from flexlive.protocol.limits import HEARTBEAT_SECONDS, HEARTBEATS_MISSED_MAX, UNACKED_CMDS_MAX
from flexlive.protocol.pending_commands import REFUSALS_MAX, PendingCommands, Verdict
from flexlive.protocol.resume_place import OPENING_SECONDS_MAX, ResumePlace
from flexlive.protocol.server_frames import (
    Drain,
    Error,
    EtaUpdate,
    FactMessage,
    Live,
    QueueUpdate,
    Reset,
    Result,
    Resumed,
    ServerHeartbeat,
    Snapshot,
    Welcome,
)


class ClientSession:
    """One driver's app. pending: commands without an answer, by cmd, oldest first. draw: uniform in [0, 1)."""

    def __init__(
        self,
        *,
        app_version: str,
        device_id: str,
        draw: Callable[[], float] = lambda: 0.5,
        refusals_max: int = REFUSALS_MAX,
        opening_seconds_max: float = OPENING_SECONDS_MAX,
    ) -> None:
        self._app_version, self._device_id = app_version, device_id
        self.state = DriverState()
        self._commands = PendingCommands(draw, refusals_max)
        self._place = ResumePlace()
        self._early = EarlyMessages()
        self._replay_upto = 0
        self._opening_seconds_max = opening_seconds_max
        self._phase = ClientPhase.OFFLINE
        self._heartbeat_seconds = HEARTBEAT_SECONDS
        self._ack_at: float | None = None
        self._ack_delay_seconds = self._sent_at = self._received_at = 0.0

    @property
    def pending(self) -> dict[str, Command]:
        return self._commands.waiting

    @property
    def seq(self) -> int:
        """Of the last fact applied in this session."""
        return self._place.seq

    def open(self, position: Point | None, now: float) -> bytes:
        """The hello for a socket that is up: resumes if there is something to resume."""
        self._phase = ClientPhase.OPENING
        self._sent_at = self._received_at = now
        self._ack_at = None
        self._early.clear()
        return encode_client(
            Hello(
                app_version=self._app_version,
                device_id=self._device_id,
                position=position,
                resume=self._place.resume(),
                inbox_seq=self.state.inbox_seq,
                unacked=tuple(self.pending)[:UNACKED_CMDS_MAX],
            )
        )

    def received(self, frame: bytes | str, now: float, ack_delay_seconds: float) -> list[Effect]:
        """A frame came in. ack_delay_seconds: how long this fact's ack may wait (random, 0 to 1)."""
        if self._phase is ClientPhase.OFFLINE:
            return []
        self._received_at, self._ack_delay_seconds = now, ack_delay_seconds
        message = decode_server(frame)
        match message:
            case Unknown():
                return []
            case BadFrame(message=text):
                return [Violation(text)]
            case Welcome() | Reset():
                return self._begun(message, now)
            case Snapshot() if self._phase is ClientPhase.LIVE:
                return self._synced(message, now)
            case Resumed():
                return self._resumed(message, now)
            case Live() if self._phase is ClientPhase.LIVE:
                return []  # the link repeats itself
            case Result():
                return self._answered(message, now)
            case ServerHeartbeat() | Drain() | Error() | EtaUpdate() | QueueUpdate():
                return [Applied(message)]
            case _:
                return self._in_turn(message, now)

    def command(self, command: Command, now: float) -> list[Effect]:
        """Remember a command until it is answered; it is sent when its turn has come and a session is live."""
        if command.cmd not in self.pending and len(self.pending) >= UNACKED_CMDS_MAX:
            raise PendingFull
        self._commands.add(command)
        return self._due(now)

    def signal(self, signal: Signal, now: float) -> list[Effect]:
        """Send a signal; dropped while offline."""
        if self._phase is not ClientPhase.LIVE:
            return []
        if not isinstance(signal, Ack | Heartbeat | Location):
            self._commands.spent(now)
        if self._ack_at is not None and isinstance(signal, Location | Heartbeat):
            self._ack_at = None
            signal = msgspec.structs.replace(signal, ack=self.seq)
        return [self._send(encode_client(signal), now)]

    def tick(self, now: float) -> list[Effect]:
        """Whatever is due: an ack, a command, a heartbeat, or giving up on a server that says nothing."""
        if self._phase is ClientPhase.OFFLINE:
            return []
        if now >= self._silence_at:
            return self._close(CloseCode.HEARTBEAT_MISSED, "nothing heard")
        if now >= self._early.deadline:
            return self._hole(f"seq {self.seq}, and what follows did not come")
        if self._phase is not ClientPhase.LIVE:
            return []
        if self._ack_at is not None and now >= self._ack_at:
            self._ack_at = None
            return [self._send(encode_client(Ack(seq=self.seq)), now), *self._due(now)]
        if effects := self._due(now):
            return effects
        return self.signal(Heartbeat(), now) if now >= self._sent_at + self._heartbeat_seconds else []

    @property
    def next_deadline(self) -> float:
        """When `tick` has something to do; infinity while offline."""
        if self._phase is ClientPhase.OFFLINE:
            return inf
        given_up_at = min(self._silence_at, self._early.deadline)
        if self._phase is not ClientPhase.LIVE:
            return given_up_at
        ack_at = inf if self._ack_at is None else self._ack_at
        return min(given_up_at, self._sent_at + self._heartbeat_seconds, ack_at, self._commands.next_at)

    def lost(self, now: float) -> None:  # noqa: ARG002 - mirrors the other inputs
        """The socket is gone, whoever closed it."""
        self._phase = ClientPhase.OFFLINE
        self._ack_at = None
        self._commands.lost()

    @property
    def _silence_at(self) -> float:
        opening = self._phase is not ClientPhase.LIVE
        patience_seconds = self._heartbeat_seconds * HEARTBEATS_MISSED_MAX
        return self._received_at + (self._opening_seconds_max if opening else patience_seconds)

    def _begun(self, message: Welcome | Reset, now: float) -> list[Effect]:
        if self._phase is not ClientPhase.OPENING:
            return []
        self._phase = ClientPhase.BEGUN
        self._place.begin(message.sid, message.epoch, message.seq)
        self._heartbeat_seconds = message.heartbeat_seconds
        self._commands.allowed(message.limits)
        return [Applied(message), *self._stored(message.results, now), *self._catch_up(now)]

    def _resumed(self, message: Resumed, now: float) -> list[Effect]:
        if self._phase is not ClientPhase.OPENING:
            return []
        if message.from_ != self.seq:
            return self._hole(f"resumed from {message.from_} instead of {self.seq}")
        self._phase, self._replay_upto = ClientPhase.REPLAYING, message.to
        return [Applied(message), *self._stored(message.results, now), *self._catch_up(now)]

    def _synced(self, message: Snapshot, now: float) -> list[Effect]:
        # An older one would wind everything back.
        return [] if message.seq < self.seq else [*self._replaced(message), *self._catch_up(now)]

    def _replaced(self, snapshot: Snapshot) -> list[Effect]:
        self.state.replace(snapshot)
        self._place.advance(snapshot.seq)
        return [Applied(snapshot)]

    def _in_turn(self, message: FactMessage | Snapshot | Live, now: float) -> list[Effect]:
        """Whatever has its place in the order: now, if it is next, else when what belongs before it has come."""
        if not isinstance(message, Snapshot | Live):
            if message.seq <= self.seq and self._phase in (ClientPhase.LIVE, ClientPhase.REPLAYING):
                return []
            if self._early.full:
                return self._hole(f"seq {message.seq} after {self.seq}")
        self._early.keep(message, now)
        return self._catch_up(now)

    def _catch_up(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        while (message := self._early.next(self._phase, self.seq, self._replay_upto)) is not None:
            match message:
                case Snapshot():
                    effects += [*self._replaced(message), Opened(resumed=False), *self._live(now)]
                case Live():
                    effects += [Applied(message), Opened(resumed=True), *self._live(now)]
                case _:
                    effects += self._fact(message, now)
        if effects:
            self._early.advanced(self.seq, now)
        return effects

    def _live(self, now: float) -> list[Effect]:
        self._phase = ClientPhase.LIVE
        self._commands.opened(now)
        return self._due(now)

    def _fact(self, message: FactMessage, now: float) -> list[Effect]:
        self._place.advance(message.seq)
        self.state.apply(message)
        if self._ack_at is None:
            self._ack_at = now + self._ack_delay_seconds
        return [Applied(message)]

    def _answered(self, result: Result, now: float) -> list[Effect]:
        verdict, command = self._commands.answered(result, now)
        match verdict:
            case Verdict.REPEATED:
                return []
            case Verdict.REFUSED:
                return [Applied(result)]
            case Verdict.CONTRADICTION:
                return [Violation(f"two answers to one command: {result.code}")]
            case Verdict.UNKNOWN:
                return [Violation("an answer to no command")]
            case Verdict.ANSWER:
                if command is not None:
                    self.state.answered(command, result)
                return [Applied(result), Answered(result), *self._due(now)]
            case _:
                assert_never(verdict)

    def _stored(self, results: Sequence[msgspec.Raw], now: float) -> list[Effect]:
        judged = (self._answered(msgspec.json.decode(raw, type=Result), now) for raw in results)
        return [effect for effects in judged for effect in effects if not isinstance(effect, Applied)]

    def _due(self, now: float) -> list[Effect]:
        if self._phase is not ClientPhase.LIVE:
            return []
        going = self._commands.due(now)
        if self._commands.hopeless:
            return self._close(CloseCode.HEARTBEAT_MISSED, "commands without an answer")
        return [self._send(encode_client(command), now) for command in going]

    def _hole(self, text: str) -> list[Effect]:
        self._place.hole()
        return [Violation(text), *self._close(CloseCode.PROTOCOL_VIOLATION, text)]

    def _close(self, code: CloseCode, reason: str) -> list[Effect]:
        self._phase = ClientPhase.OFFLINE
        return [CloseSocket(code, reason)]

    def _send(self, data: bytes, now: float) -> SendFrame:
        self._sent_at = now
        return SendFrame(data)
