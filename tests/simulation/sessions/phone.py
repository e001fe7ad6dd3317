"""One app: the reference client's pure session, and what its driver has seen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import msgspec

from flexlive.protocol import driver as wire_types
from flexlive.protocol.client_session import (
    Answered,
    Applied,
    ClientSession,
    CloseSocket,
    Effect,
    Opened,
    SendFrame,
    Violation,
)
from flexlive.protocol.close_codes import Advice, CloseCode, advice
from tests.simulation.sessions.truth import PLACES, START
from tests.simulation.sessions.wire import Wire


class Phone:
    def __init__(self, driver_id: UUID, device_id: str, fixes: Iterator[int]) -> None:
        self.driver_id, self.device_id = driver_id, device_id
        self.session = ClientSession(app_version="sim", device_id=device_id)
        self.wire: Wire | None = None
        self.live = False
        self.replaced = False
        self.place = 0
        self.cmds = 0
        self.answers: dict[str, wire_types.Result] = {}
        self.given: dict[str, wire_types.Command] = {}
        self.notices: set[UUID] = set()
        self.resumed = 0
        self._fixes = fixes

    def point(self, now: float) -> wire_types.Point:
        lat, lon = PLACES[self.place]
        # No two fixes of a driver at the same instant.
        at = START + timedelta(seconds=now, microseconds=next(self._fixes))
        return wire_types.Point(lat=lat, lon=lon, at=at, accuracy_m=5)

    def dial(self, wire: Wire, now: float, *, positioned: bool) -> None:
        self.wire, self.live, self.replaced = wire, False, False
        hello = self.session.open(self.point(now) if positioned else None, now)
        resume = msgspec.json.decode(hello).get("resume")
        wire.resumes = resume and resume["sid"]
        wire.up.append(hello.decode())

    def read(self, frame: bytes, now: float) -> None:
        assert self.wire is not None
        self.carry_out(self.session.received(frame, now, 0.5), now)

    def next_cmd(self) -> str:
        self.cmds += 1
        return f"{self.device_id}-{self.cmds}"

    def command(self, command: wire_types.Command, now: float) -> None:
        self.given[command.cmd] = command
        self.carry_out(self.session.command(command, now), now)

    def signal(self, message: wire_types.Signal, now: float) -> None:
        self.carry_out(self.session.signal(message, now), now)

    def tick(self, now: float) -> None:
        if self.wire is not None and self.session.next_deadline <= now:
            self.carry_out(self.session.tick(now), now)

    def hang_up(self, now: float) -> None:
        self.wire, self.live = None, False
        self.session.lost(now)

    def closed(self, code: int, now: float) -> None:
        """The server closed the socket. A phone that keeps the protocol is told to come back, or that it was
        replaced; whatever else would keep a driver out."""
        self.hang_up(now)
        self.replaced = code == CloseCode.REPLACED
        assert self.replaced or advice(code) is Advice.RESUME, f"{self.device_id} was sent away with {code}"

    def carry_out(self, effects: list[Effect], now: float) -> None:
        for effect in effects:
            match effect:
                case SendFrame(data=data):
                    if self.wire is not None:
                        self.wire.up.append(data.decode())
                case CloseSocket():
                    self.hang_up(now)
                case Opened(resumed=resumed):
                    self.live = True
                    self.resumed += resumed
                case Answered(result=result):
                    first = self.answers.setdefault(result.cmd, result)
                    assert first == result or "rate_limited" in (first.code, result.code), (first, result)
                case Violation(text=text):
                    assert self.wire is None or self.wire.mangled, f"{self.device_id}: {text}"
                case Applied(message=message):
                    self._saw(message)

    def _saw(self, message: wire_types.ServerMessage) -> None:
        match message:
            case wire_types.Notice(notice_id=notice_id):
                self.notices.add(notice_id)
            case wire_types.Snapshot(inbox=inbox):
                self.notices.update(UUID(item.body["notice_id"]) for item in inbox)
            case _:
                pass
