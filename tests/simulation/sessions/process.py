"""One server process of the simulation: the parts a real one has, on the simulation's scheduler."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from flexlive.protocol.client_frames import Command, NoticeSeen, OfferSeen, Point
from flexlive.protocol.views import PositionView
from flexlive.realtime.board import Board
from flexlive.realtime.fact_router import FactRouter
from flexlive.realtime.hub import Hub
from flexlive.realtime.presence import Position, Presence
from flexlive.realtime.sessions import SessionStore
from flexlive.services.drivers import DriverPrincipal, DriverSnapshot, SnapshotAsk
from flexlive.services.locations import NextStopEta
from flexlive.storage.transaction import OutcomeUnknownError
from flexlive.web.driver_connection import DriverConnection
from flexlive.web.edge import ConnectionOptions, Edge
from tests.simulation.sessions.scheduler import Query, Scheduler
from tests.simulation.sessions.truth import MARKET, RESOLUTION, Truth, uid


class Process:
    """applied: facts of the truth's log that this process has been told."""

    def __init__(self, scheduler: Scheduler, truth: Truth, number: int) -> None:
        self._scheduler, self._truth = scheduler, truth
        self._sids = 0
        self.hub = Hub(scheduler.deferred.append)
        self.board = Board(self.hub)
        self.board.configure(MARKET, offer_resolution=RESOLUTION)
        self.presence = Presence()
        self.sessions = SessionStore(
            self.hub, self.board, epoch=f"epoch-{number}", now=scheduler.monotonic,
            new_sid=lambda: self._new_sid(number),
        )  # fmt: skip
        self.router = FactRouter(self.hub, self.board, self.sessions, truth.now)
        self.connections: list[DriverConnection] = []
        self.unreachable: set[UUID] = set()
        self.edge = Edge(
            board=self.board,
            sessions=self.sessions,
            presence=self.presence,
            options=ConnectionOptions(),
            draw=lambda: 0.5,
            clock=truth.now,
            monotonic=scheduler.monotonic,
            spawn=scheduler.spawn,
            execute=self._execute,
            stored_results=self._stored_results,
            snapshot=self._snapshot,
            located=self._located,
            notice_seen=_notice_seen,
            offer_seen=_offer_seen,
            unreachable=self._set_unreachable,
        )
        # Position before state, at one moment: nothing happens between the two here.
        self.applied = len(truth.log)
        for shown in truth.shown():
            self.board.show(MARKET, shown)

    def relay(self, facts: int) -> None:
        """The next facts of the log arrive."""
        for row in self._truth.log[self.applied : self.applied + facts]:
            self.applied += 1
            self.router.apply(row)

    def tick(self) -> None:
        now = self._scheduler.monotonic()
        self.connections = [connection for connection in self.connections if connection.on_tick(now)]
        self.sessions.expire()

    def _new_sid(self, number: int) -> str:
        self._sids += 1
        return f"sid-{number}-{self._sids}"

    def _execute(self, who: DriverPrincipal, device_id: str, command: Command) -> Query[bytes]:
        return Query(self._scheduler, "execute", lambda: self._truth.execute(who.driver_id, device_id, command))

    def _stored_results(self, who: DriverPrincipal, device_id: str, cmds: Sequence[str]) -> Query[dict[str, bytes]]:
        asked = tuple(cmds)
        return Query(self._scheduler, "results", lambda: self._truth.stored_results(who.driver_id, device_id, asked))

    def _snapshot(self, market_id: str, ask: SnapshotAsk) -> Query[DriverSnapshot | None]:
        return Query(self._scheduler, "snapshot", lambda: self._truth.snapshot(ask.driver_id, ask.inbox_seq))

    def _located(self, who: DriverPrincipal, points: Sequence[Point], now: datetime) -> NextStopEta | None:
        for point in points:
            position = Position(point.lat, point.lon, point.accuracy_m, point.at, now)
            if self.presence.record(MARKET, who.driver_id, position) is not None:
                stored = PositionView(lat=point.lat, lon=point.lon, at=point.at)
                self._truth.drivers[who.driver_id].position = stored
        last = points[-1].at if points else now
        return NextStopEta(uid(5, 1), last, 60.0)

    def _set_unreachable(self, market_id: str, driver_id: UUID, unreachable: bool) -> None:
        (self.unreachable.add if unreachable else self.unreachable.discard)(driver_id)


def _notice_seen(who: DriverPrincipal, message: NoticeSeen) -> None:
    pass


def _offer_seen(who: DriverPrincipal, message: OfferSeen) -> None:
    pass


def outcome_unknown() -> Exception:
    return OutcomeUnknownError()
