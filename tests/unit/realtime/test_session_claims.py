"""Sessions of one driver in two processes: which of them ends, and when the database's clock has the last word."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flexlive.realtime.board import Board
from flexlive.realtime.hub import Hub
from flexlive.realtime.roster import Roster
from flexlive.realtime.sessions import DriverSession, SessionStore

from .test_roster import Air

MARKET, DRIVER, FAMILY = "m", UUID(int=1), UUID(int=2)


class Socket:
    def __init__(self) -> None:
        self.ends: list[str] = []

    def push(self, seq: int, fact: Any, now: float) -> None: ...

    def replaced(self) -> None:
        self.ends.append("replaced")

    def logged_out(self) -> None:
        self.ends.append("logged_out")

    def suspended(self) -> None:
        self.ends.append("suspended")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Process:
    def __init__(self, air: Air, number: int, clock: Clock) -> None:
        hub = Hub(lambda callback: callback())
        self.roster = Roster(air, UUID(int=number).hex, clock)
        self.roster.follow(MARKET)
        self.store = SessionStore(
            hub, Board(hub), epoch=self.roster.process, now=clock, new_sid=lambda: "sid", roster=self.roster
        )

    def open(self) -> tuple[DriverSession, Socket]:
        socket = Socket()
        return self.store.open(MARKET, DRIVER, FAMILY, frozenset(), socket), socket


def world() -> tuple[Air, Clock, Process, Process]:
    air, clock = Air(), Clock()
    return air, clock, Process(air, 1, clock), Process(air, 2, clock)


def test_of_two_openings_at_once_the_later_snapshot_has_the_driver():
    for here_at, there_at in ((5.0, 6.0), (6.0, 5.0)):
        air, _, here, there = world()
        session, socket = here.open()
        rival, rival_socket = there.open()
        assert there.store.claim(rival, there_at)
        air.deliver_all()
        assert here.store.claim(session, here_at) is (here_at > there_at)
        air.deliver_all()
        held = [process.store.find(MARKET, DRIVER) for process in (here, there)]
        assert held == ([None, rival] if here_at < there_at else [session, None])
        assert (socket.ends, rival_socket.ends) == ((["replaced"], []) if here_at < there_at else ([], ["replaced"]))


def test_a_claim_known_before_a_connection_began_is_older_whatever_the_clock_says():
    air, _, here, there = world()
    rival, rival_socket = there.open()
    assert there.store.claim(rival, 1000.0)
    air.deliver_all()
    session, socket = here.open()
    assert here.store.claim(session, 3.0)  # the database's clock was set back
    air.deliver_all()
    assert (socket.ends, rival_socket.ends) == ([], ["replaced"])


def test_a_resume_is_newer_than_what_was_claimed_while_it_was_away():
    air, clock, here, there = world()
    session, socket = here.open()
    here.store.claim(session, 5.0)
    air.deliver_all()
    here.store.detach(session, socket)
    clock.now += 10.0
    rival, rival_socket = there.open()
    there.store.claim(rival, 14.0)
    air.waiting.clear()  # here has not heard of it
    clock.now += 10.0
    back = Socket()
    here.store.attach(session, back, FAMILY)
    assert session.claimed_at == 25.0
    air.deliver_all()
    assert (back.ends, rival_socket.ends) == ([], ["replaced"])
    assert there.store.find(MARKET, DRIVER) is None


def test_a_login_that_ended_is_remembered_for_a_while():
    _, clock, here, _ = world()
    here.store.family_revoked(MARKET, DRIVER, FAMILY)
    assert here.store.family_ended(FAMILY)
    clock.now += 61.0
    here.store.family_revoked(MARKET, DRIVER, UUID(int=3))
    assert not here.store.family_ended(FAMILY)
