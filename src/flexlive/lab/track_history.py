"""What one customer's tracking stream has said, checked as it comes."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from flexlive.domain.deliveries import TERMINAL
from flexlive.protocol.customer import StreamEnd, StreamPosition, StreamReset, parse_event_id

VIOLATIONS_MAX = 20


class ServerSentEvent(Struct, frozen=True):
    """One event as the standard splits a stream: id is None when the event carried none."""

    name: str
    data: str
    id: str | None = None


class StateBody(Struct, frozen=True):
    """The part of a stated position that is checked."""

    epoch: str
    seq: int
    status: str


class FactBody(Struct, frozen=True):
    """The part of a tracking fact that every kind has."""

    status: str


class TrackHistory:
    """Feed every event in order, across reconnects; `holes` counts facts that never came."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.epoch: str | None = None
        self.seq: int | None = None
        self.status: str | None = None
        self.facts = 0
        self.stated = 0
        self.holes = 0
        self.ended = False
        self.violations: list[str] = []

    @property
    def last_event_id(self) -> str | None:
        """What to send as Last-Event-ID on the next connection."""
        return None if self.epoch is None or self.seq is None else f"{self.epoch}-{self.seq}"

    @property
    def cut(self) -> bool:
        """Ended before the delivery was: what a revoked link looks like."""
        return self.ended and self.status not in TERMINAL

    def received(self, event: ServerSentEvent) -> None:
        """Any event of the stream; unknown names are ignored, as the protocol asks."""
        if self.ended:
            self._broken(f"{event.name} after the end")
        match event.name:
            case "position":
                self._position(msgspec.json.decode(event.data, type=StreamPosition))
            case "reset":
                self._broken_by_reset(msgspec.json.decode(event.data, type=StreamReset))
            case "state":
                self._state(msgspec.json.decode(event.data, type=StateBody), event.id)
            case "fact":
                self._fact(msgspec.json.decode(event.data, type=FactBody), event.id)
            case "end":
                self._end(msgspec.json.decode(event.data, type=StreamEnd))
            case _:
                if event.id is not None:
                    self._broken(f"ephemeral event {event.name} carries id {event.id}")

    def missing(self, committed_seq: int) -> int:
        """Facts the database holds and this stream neither sent nor stated."""
        return max(0, committed_seq - (self.seq or 0))

    def _position(self, position: StreamPosition) -> None:
        if self.epoch is not None and position.epoch != self.epoch:
            self._broken(f"epoch changed from {self.epoch} to {position.epoch}")
        if position.resumed and position.seq != self.seq:
            self._broken(f"resumed at seq {position.seq}, but the page was at {self.seq}")
        self.epoch = position.epoch

    def _broken_by_reset(self, reset: StreamReset) -> None:
        self._broken(f"reset ({reset.reason}) although this database never changed")

    def _state(self, state: StateBody, event_id: str | None) -> None:
        if event_id != f"{state.epoch}-{state.seq}":
            self._broken(f"state at {state.epoch}-{state.seq} carries id {event_id}")
        if self.seq is not None and state.seq < self.seq:
            self._broken(f"state went back from seq {self.seq} to {state.seq}")
        self.stated += state.seq - (self.seq or 0)
        self.epoch, self.seq, self.status = state.epoch, state.seq, state.status

    def _fact(self, fact: FactBody, event_id: str | None) -> None:
        position = parse_event_id(event_id or "")
        if position is None or position.epoch != self.epoch or self.seq is None:
            self._broken(f"fact {fact.status} with id {event_id} at {self.last_event_id}")
            return
        if position.seq <= self.seq:
            self._broken(f"fact seq {position.seq} came again or out of order after {self.seq}")
            return
        self.holes += position.seq - self.seq - 1
        if self.status in TERMINAL:
            self._broken(f"fact {fact.status} after terminal status {self.status}")
        self.facts += 1
        self.seq, self.status = position.seq, fact.status

    def _end(self, end: StreamEnd) -> None:
        if end.status != self.status:
            self._broken(f"ended as {end.status}, but the last fact said {self.status}")
        self.ended = True

    def _broken(self, text: str) -> None:
        if len(self.violations) < VIOLATIONS_MAX:
            self.violations.append(f"{self.name}: {text}")
