"""The drivers' sessions of this process. A session outlives its socket for the resume window: it goes on collecting
facts in its ring, so that coming back reads nothing from the database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import Final, Protocol
from uuid import UUID

from prometheus_client import Gauge

from flexlive.protocol.limits import RESUME_WINDOW_SECONDS
from flexlive.protocol.resume import Remembered
from flexlive.realtime.board import Board, Seat
from flexlive.realtime.hub import Hub, HubFact, driver_channel
from flexlive.realtime.roster import Roster, after_claim
from flexlive.realtime.session_ring import SessionRing

ENDED_FAMILY_SECONDS: Final = 60.0
"""For longer than a handshake and its database reads may take."""

_SESSIONS = Gauge(
    "flexlive_sessions", "Driver sessions held in RAM, with a socket or waiting for one", multiprocess_mode="livesum"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    resume_window_seconds: float = RESUME_WINDOW_SECONDS
    detached_sessions_max: int = 20_000
    """Sessions kept without a socket; beyond it the longest gone must take a snapshot when they return."""


class Socket(Protocol):
    """The connection a session writes to. All are synchronous and never raise."""

    def push(self, seq: int, fact: HubFact, now: float) -> None: ...

    def replaced(self) -> None:
        """The driver has a newer connection; when it is in another process, the session is gone from here."""
        ...

    def logged_out(self) -> None: ...

    def suspended(self) -> None: ...


class DriverSession:
    """Facts for one driver, numbered. Its seat is its place at the board."""

    __slots__ = ("_now", "claimed_at", "claimed_on", "detached_at", "driver_id", "entitled_at", "family_id",
                 "hello_at", "market_id", "presence_known", "ring", "seat", "sid", "socket")  # fmt: skip

    def __init__(
        self, market_id: str, driver_id: UUID, family_id: UUID, sid: str, socket: Socket, now: Callable[[], float]
    ) -> None:
        self.market_id = market_id
        self.driver_id = driver_id
        self.family_id = family_id
        self.sid = sid
        self.ring = SessionRing()
        self.socket: Socket | None = socket
        self.seat: Seat
        self.detached_at = 0.0
        self.hello_at = -inf
        """When the hello came in whose connection carries the session, or did last."""
        self.claimed_at = -inf
        """Since when the driver is ours, by the database's clock (epoch seconds); claimed_on: our monotonic seconds at
        that moment. Until the opening has asked the database: what is newer than all claims known before it."""
        self.claimed_on = now()
        self.presence_known = False
        """An event told the presence; a snapshot read before it no longer does."""
        self.entitled_at = -inf
        """When an event last told what the driver may be shown; what was read before it no longer holds."""
        self._now = now

    def deliver(self, fact: HubFact, /) -> None:
        now = self._now()
        seq = self.ring.append(fact, now)
        if self.socket is not None:
            self.socket.push(seq, fact, now)

    def remembered(self) -> Remembered:
        return Remembered(self.sid, self.ring.replayable_after, self.ring.last_seq)


class SessionStore:
    """One session a driver. now: monotonic seconds. epoch: this process's boot id."""

    def __init__(
        self,
        hub: Hub,
        board: Board,
        *,
        epoch: str,
        now: Callable[[], float],
        new_sid: Callable[[], str],
        options: SessionOptions | None = None,
        roster: Roster | None = None,
    ) -> None:
        self.epoch = epoch
        self.options = options or SessionOptions()
        self._hub, self._board = hub, board
        self._now, self._new_sid = now, new_sid
        self._sessions: dict[tuple[str, UUID], DriverSession] = {}
        # Insertion order is the order of detaching.
        self._detached: dict[DriverSession, None] = {}
        # In the order in which they ended.
        self._ended_families: dict[UUID, float] = {}
        self._roster = roster
        if roster is not None:
            roster.bind(self.moved)

    def find(self, market_id: str, driver_id: UUID) -> DriverSession | None:
        return self._sessions.get((market_id, driver_id))

    def logins(self) -> dict[str, list[tuple[UUID, UUID]]]:
        """(driver, token family) of every session, by market."""
        found: dict[str, list[tuple[UUID, UUID]]] = {}
        for session in self._sessions.values():
            found.setdefault(session.market_id, []).append((session.driver_id, session.family_id))
        return found

    def open(
        self, market_id: str, driver_id: UUID, family_id: UUID, offer_types: frozenset[str], socket: Socket
    ) -> DriverSession:
        """A new session; the driver's former one ends and its socket is replaced. Offline until told otherwise."""
        former = self.find(market_id, driver_id)
        if former is not None:
            self._replace_socket(former, None)
            self.end(former)
        session = DriverSession(market_id, driver_id, family_id, self._new_sid(), socket, self._now)
        if self._roster is not None:
            session.claimed_at = after_claim(self._roster.newest_claim_elsewhere(market_id, driver_id))
        session.seat = self._board.sit(market_id, driver_id, offer_types, session, online=False)
        self._sessions[market_id, driver_id] = session
        self._hub.subscribe(driver_channel(driver_id), session)
        _SESSIONS.set(len(self._sessions))
        return session

    def attach(self, session: DriverSession, socket: Socket, family_id: UUID) -> None:
        """The driver is back on another socket."""
        self._replace_socket(session, socket)
        self._detached.pop(session, None)
        session.family_id = family_id
        at = session.claimed_at + self._now() - session.claimed_on
        if self._roster is not None:
            known = self._roster.newest_claim_elsewhere(session.market_id, session.driver_id)
            at = max(at, after_claim(known))
        self.claim(session, at)

    def claim(self, session: DriverSession, at: float) -> bool:
        """The driver is connected here since at (epoch seconds of the database's clock). False: another process has a
        newer claim, and the session has ended. A claim that was known before this one began is older, whatever it
        says of the time."""
        session.claimed_at, session.claimed_on = max(at, session.claimed_at), self._now()
        if self._roster is None:
            return True
        market_id, driver_id = session.market_id, session.driver_id
        if self._roster.claim(market_id, driver_id, session.claimed_at):
            return True
        self.moved(market_id, driver_id)
        return False

    def moved(self, market_id: str, driver_id: UUID) -> None:
        """Another process has the driver now: the session ends, and its socket closes as replaced."""
        session = self.find(market_id, driver_id)
        if session is not None:
            socket = session.socket
            self.end(session)
            if socket is not None:
                socket.replaced()

    def detach(self, session: DriverSession, socket: Socket) -> bool:
        """The socket is gone; the session waits for another. False: it already has another, or has ended."""
        if session.socket is not socket or self.find(session.market_id, session.driver_id) is not session:
            return False
        session.socket = None
        session.detached_at = self._now()
        self._detached[session] = None
        if self._roster is not None:
            self._roster.disconnected(session.market_id, session.driver_id)
        while len(self._detached) > self.options.detached_sessions_max:
            self.end(next(iter(self._detached)))
        return True

    def end(self, session: DriverSession) -> None:
        """Nothing reaches the session any more. Idempotent."""
        if self._sessions.get((session.market_id, session.driver_id)) is session:
            del self._sessions[session.market_id, session.driver_id]
            if self._roster is not None:
                self._roster.released(session.market_id, session.driver_id)
        self._detached.pop(session, None)
        self._hub.unsubscribe(driver_channel(session.driver_id), session)
        self._board.leave(session.seat)
        session.socket = None
        _SESSIONS.set(len(self._sessions))

    def expire(self, limit_sessions: int = 1_000) -> int:
        """End sessions whose resume window has passed, at most limit_sessions; returns how many."""
        horizon = self._now() - self.options.resume_window_seconds
        ended = 0
        while self._detached and ended < limit_sessions:
            session = next(iter(self._detached))
            if session.detached_at > horizon:
                break
            self.end(session)
            ended += 1
        return ended

    def presence_changed(self, market_id: str, driver_id: UUID, online: bool, now: datetime) -> None:
        session = self.find(market_id, driver_id)
        if session is not None:
            session.presence_known = True
            self._board.set_online(session.seat, online, now)

    def entitled(
        self, market_id: str, driver_id: UUID, offer_types: frozenset[str], pilots: frozenset[UUID], now: datetime
    ) -> None:
        """An event told what the driver may be shown from now on."""
        session = self.find(market_id, driver_id)
        if session is not None:
            session.entitled_at = self._now()
            self._board.entitle(session.seat, offer_types, pilots, now)

    def entitle_as_read(
        self,
        session: DriverSession,
        offer_types: frozenset[str],
        pilots: frozenset[UUID],
        *,
        read_at: float,
        now: datetime,
    ) -> None:
        """What the database said of it at read_at (monotonic), unless an event has told since."""
        if session.entitled_at < read_at:
            self._board.entitle(session.seat, offer_types, pilots, now)

    def family_revoked(self, market_id: str, driver_id: UUID, family_id: UUID) -> None:
        """The login this session came from has ended: so does the session, and its socket closes."""
        self._remember_ended(family_id)
        session = self.find(market_id, driver_id)
        if session is not None and session.family_id == family_id:
            socket = session.socket
            self.end(session)
            if socket is not None:
                socket.logged_out()

    def family_ended(self, family_id: UUID) -> bool:
        """Whether this login ended a moment ago: its token may have been checked just before."""
        return family_id in self._ended_families

    def _remember_ended(self, family_id: UUID) -> None:
        now = self._now()
        self._ended_families.pop(family_id, None)
        self._ended_families[family_id] = now
        while next(iter(self._ended_families.values())) <= now - ENDED_FAMILY_SECONDS:
            del self._ended_families[next(iter(self._ended_families))]

    def suspended(self, market_id: str, driver_id: UUID) -> None:
        """The driver may not work any more, whichever login the session came from."""
        session = self.find(market_id, driver_id)
        if session is not None:
            socket = session.socket
            self.end(session)
            if socket is not None:
                socket.suspended()

    def _replace_socket(self, session: DriverSession, socket: Socket | None) -> None:
        former, session.socket = session.socket, socket
        if former is not None and former is not socket:
            former.replaced()

    def __len__(self) -> int:
        return len(self._sessions)
