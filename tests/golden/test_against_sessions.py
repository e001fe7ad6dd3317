"""Every golden transcript against the two pure machines: the client's says what was said, the server's takes it."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from flexlive.protocol import driver as wire
from flexlive.protocol.client_effects import Answered, CloseSocket, SendFrame, Violation
from flexlive.protocol.client_session import ClientSession
from flexlive.protocol.codec import decode_client
from flexlive.protocol.resume import Fresh, Refuse, Remembered, Replay, decide_resume
from flexlive.protocol.session import (
    Acked,
    Begin,
    Close,
    Effect,
    Reachable,
    Run,
    Send,
    ServerSession,
    SessionLimits,
    Signal,
)
from tests.golden import transcript
from tests.golden.recorder import believing
from tests.golden.transcript import Line, Names

MISBEHAVES: Final = {"same_command", "bad_frames", "violations", "rate_limit"}
"""Transcripts whose phone says what no client would."""
NOW: Final = 1000.0


def as_text(frame: dict[str, Any]) -> str:
    return json.dumps(frame, ensure_ascii=False, separators=(",", ":"))


@dataclass
class App:
    """One phone's ClientSession; `said` is what it has sent and the transcript has not come to yet."""

    session: ClientSession
    said: deque[bytes] = field(default_factory=deque)
    answers: dict[str, str] = field(default_factory=dict)
    place: dict[str, str | int] = field(default_factory=dict)
    now: float = NOW

    def carry_out(self, effects: list[Any]) -> None:
        for effect in effects:
            match effect:
                case SendFrame(data=data):
                    self.said.append(data)
                case Answered(result=result):
                    self.answers[result.cmd] = result.code
                case Violation() | CloseSocket():
                    raise AssertionError(effect)
                case _:
                    pass

    def says(self, frame: dict[str, Any]) -> None:
        """The app does what makes this frame necessary; the session must say it in just these words."""
        message = decode_client(as_text(frame))
        match message:
            case wire.Hello():
                self.said.append(believing(self.session.open(message.position, self.now), self.place))
                self.place = {}
            case wire.Ack():
                self.now += wire.ACK_DELAY_SECONDS_MAX
                self.carry_out(self.session.tick(self.now))
            case wire.CommandFrame():
                if not self.said:
                    self.carry_out(self.session.command(message, self.now))
            case _:
                self.carry_out(self.session.signal(message, self.now))  # pyright: ignore[reportArgumentType]
        assert json.loads(self.said.popleft()) == frame


@pytest.mark.parametrize("name", sorted(set(transcript.names()) - MISBEHAVES))
def test_a_client_says_the_same(name: str) -> None:
    apps: dict[str, App] = {}
    for line in transcript.load(name):
        app = apps.get(line.at)
        # Between two lines is time enough for the limits to let the next command pass.
        if app is not None:
            app.now += 0.5
        match line.what:
            case "client→server" if line.body["type"] == "hello":
                app = apps.setdefault(line.at, App(ClientSession(app_version="1.0", device_id=line.body["device_id"])))
                app.says(line.body)
            case "client→server":
                assert app is not None
                app.says(line.body)
            case "server→client":
                assert app is not None
                app.carry_out(app.session.received(as_text(line.body), app.now, 0.0))
                if line.body["type"] == "result":
                    assert app.answers[line.body["cmd"]] == line.body["code"]
            case "lost" | "closed" if app is not None:
                assert not app.said
                app.session.lost(app.now)
            case "meant":
                assert app is not None
                command = decode_client(as_text(line.body["frame"]))
                assert isinstance(command, wire.CommandFrame)
                app.carry_out(app.session.command(command, app.now))  # pyright: ignore[reportArgumentType]
            case "misremembers":
                assert app is not None
                app.place = line.body
            case "knows":
                assert app is not None
                state = app.session.state
                assert line.body == {
                    "presence": state.presence,
                    "offers": [str(each) for each in state.offers],
                    "routes": [str(each) for each in state.routes],
                }
                assert not app.said
                assert not app.session.pending
            case _:
                pass
    assert apps


def expected(message: object) -> type[Effect] | None:
    match message:
        case wire.Hello():
            return Begin
        case wire.Ack():
            return Acked
        case wire.Heartbeat():
            return None
        case wire.CommandFrame():
            return Run
        case wire.Location() | wire.OfferSeen() | wire.NoticeSeen() | wire.Sync():
            return Signal
        case _:
            return None


@dataclass
class Gate:
    """One connection's ServerSession; `made` is what it answered by itself."""

    machine: ServerSession
    made: deque[dict[str, Any]] = field(default_factory=deque)
    closed: int | None = None

    def takes(self, line: Line) -> None:
        text = as_text(line.body) if line.text is None else line.text
        effects = self.machine.received(text, NOW)
        kind = expected(decode_client(text))
        refused = False
        for effect in effects:
            match effect:
                case Send(data=data):
                    self.made.append(json.loads(data))
                    refused = True
                case Close(code=code):
                    self.closed = code
                case Begin() | Run() | Signal() | Acked() | Reachable():
                    pass
        if kind is not None and not refused and self.closed is None:
            assert any(isinstance(effect, kind) for effect in effects), effects

    def said(self, frame: dict[str, Any]) -> None:
        """What came from the server: the machine's own words must be among it, in order."""
        if self.made and (frame["type"] == "error" or frame.get("cmd") == self.made[0].get("cmd")):
            Names().match(frame, self.made.popleft())
        if frame["type"] in ("snapshot", "live"):
            self.machine.went_live(NOW, phase_seconds=0.0)


@pytest.mark.parametrize("name", transcript.names())
def test_a_server_takes_it(name: str) -> None:
    gates: dict[str, Gate] = {}
    generous = SessionLimits() if name == "rate_limit" else SessionLimits(commands_burst=100)
    for line in transcript.load(name):
        gate = gates.get(line.at)
        match line.what:
            case "connect":
                gates[line.at] = Gate(ServerSession(NOW, generous))
            case "client→server":
                assert gate is not None
                gate.takes(line)
            case "server→client":
                assert gate is not None
                gate.said(line.body)
            case "lost" | "closed":
                assert gate is not None
                assert not gate.made
                assert gate.closed in (None, line.body.get("code"))
                del gates[line.at]
            case _:
                pass


@dataclass
class Session:
    """What the process remembers of a driver."""

    sid: str
    epoch: str
    acked: int
    last_seq: int


def test_resume_is_decided_as_it_was() -> None:
    decided: list[str] = []
    for name in set(transcript.names()) - MISBEHAVES:
        sessions: dict[str, Session] = {}
        hellos: dict[str, wire.Hello] = {}
        drivers: dict[str, str] = {}
        for line in transcript.load(name):
            driver = drivers.get(line.at, line.at)
            match line.what, line.body.get("type"):
                case "connect", _:
                    drivers[line.at] = line.body.get("driver", line.at)
                case "client→server", "hello":
                    hello = decode_client(as_text(line.body))
                    assert isinstance(hello, wire.Hello)
                    hellos[driver] = hello
                case "client→server", "ack":
                    sessions[driver].acked = line.body["seq"]
                case "told", _:
                    sessions[driver].last_seq = line.body["seq"]
                case "server→client", "welcome" | "reset" | "resumed":
                    decided.append(decide(line.body, hellos[driver], sessions, driver))
                case "server→client", _ if "seq" in line.body:
                    sessions[driver].last_seq = max(sessions[driver].last_seq, line.body["seq"])
                case _:
                    pass
    assert {"welcome", "resumed", "other_epoch", "unknown_session", "too_old"} == set(decided)


def decide(answer: dict[str, Any], hello: wire.Hello, sessions: dict[str, Session], driver: str) -> str:
    known = sessions.get(driver)
    epoch = known.epoch if known else answer["epoch"]
    remembered = None if known is None else Remembered(known.sid, known.acked, known.last_seq)
    decision = decide_resume(hello.resume, epoch, remembered)
    match decision:
        case Fresh():
            assert answer["type"] == "welcome"
        case Refuse(reason=reason):
            assert (answer["type"], answer["reason"]) == ("reset", reason)
        case Replay(from_seq=from_seq, to_seq=to_seq):
            assert (answer["type"], answer["from"], answer["to"]) == ("resumed", from_seq, to_seq)
            return "resumed"
    sessions[driver] = Session(answer["sid"], answer["epoch"], answer["seq"], answer["seq"])
    return answer.get("reason", "welcome")
