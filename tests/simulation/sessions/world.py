"""Phones, links, one server process after another, and a database, on one clock. Deterministic: the same steps give
the same run."""

from __future__ import annotations

from itertools import count
from uuid import UUID

from prometheus_client import REGISTRY

from flexlive.protocol import driver as wire_types
from flexlive.services.drivers import DriverPrincipal
from flexlive.web.driver_connection import DriverConnection
from tests.simulation.sessions.laws import Laws
from tests.simulation.sessions.phone import Phone
from tests.simulation.sessions.process import Process, outcome_unknown
from tests.simulation.sessions.scheduler import Scheduler
from tests.simulation.sessions.truth import CELLS, MARKET, START, Driver, Offer, Truth, uid
from tests.simulation.sessions.wire import Closed, Wire

FAMILY = UUID(int=7)
CALM_SECONDS_MAX = 60


def hub_failures() -> float:
    """Facts at which a subscriber raised, in this process so far."""
    return REGISTRY.get_sample_value("flexlive_hub_delivery_failures_total") or 0.0


class World:
    """phones: two of the first driver, one of the second."""

    def __init__(self) -> None:
        self.scheduler = Scheduler()
        self.truth = Truth(self.scheduler)
        self.laws = Laws(self.truth)
        fixes = count(1)
        self.phones = [
            Phone(uid(1, number), device_id, fixes) for number, device_id in ((0, "a-1"), (0, "a-2"), (1, "b-1"))
        ]
        self.hub_failures_before = hub_failures()
        self.processes = 1
        self.process = Process(self.scheduler, self.truth, 1)

    @property
    def now(self) -> float:
        return self.scheduler.monotonic_seconds

    # Phones

    def connect(self, phone: Phone, *, positioned: bool) -> None:
        if phone.wire is not None:
            return
        driver = self.truth.drivers[phone.driver_id]
        principal = DriverPrincipal(
            MARKET, phone.driver_id, FAMILY, b"", START, driver.offer_types, frozenset(), self.now
        )
        self.looked(driver)
        wire = Wire(self.scheduler.monotonic, self.laws.written)
        wire.connection = DriverConnection(self.process.edge, principal, wire)
        self.process.connections.append(wire.connection)
        if positioned:
            self._was_at(phone)
        phone.dial(wire, self.now, positioned=positioned)

    def drop(self, phone: Phone, *, server_knows: bool) -> None:
        """The socket is cut; a half-open one leaves the server believing in it."""
        wire = phone.wire
        if wire is not None:
            phone.hang_up(self.now)
            wire.up.clear()
            if server_knows:
                self._lost(wire)

    def locate(self, phone: Phone, place: int) -> None:
        phone.place = place
        if phone.live:
            self._was_at(phone)
            phone.signal(wire_types.Location(points=(phone.point(self.now),)), self.now)

    def up(self, phone: Phone, frames: int) -> None:
        """The server reads."""
        wire = phone.wire
        if wire is None:
            return
        while frames > 0 and wire.up and not wire.server_closed:
            frames -= 1
            wire.connection.frame_received(wire.up.pop(0))
            self.settle()

    def down(self, phone: Phone, frames: int) -> None:
        """The phone reads."""
        wire = phone.wire
        while frames > 0 and wire is not None and wire is phone.wire and wire.down and not wire.stalled:
            frames -= 1
            frame = wire.down.pop(0)
            if isinstance(frame, Closed):
                phone.closed(frame.code, self.now)
                self._lost(wire)
            else:
                phone.read(frame, self.now)
                if phone.wire is None:
                    self._lost(wire)

    # Server and database

    def relay(self, facts: int) -> None:
        self.process.relay(facts)
        self.settle()
        if self.process.applied == len(self.truth.log):
            for driver in self.truth.drivers.values():
                self._told(driver)
        self.settle()

    def database(self, which: int, *, answer: bool) -> None:
        """One query is done, and answered at once or later."""
        queries = self.scheduler.queries
        if queries:
            query = queries[which % len(queries)]
            if query.kind == "snapshot":
                for driver in self.truth.drivers.values():
                    self.looked(driver)
            query.perform()
            if answer:
                query.answer()
            self.settle()

    def commit_unanswered(self, which: int) -> None:
        """The database's answer to a command is lost; whether it was carried out, only the database knows."""
        commands = [query for query in self.scheduler.queries if query.kind == "execute"]
        if commands:
            commands[which % len(commands)].answer(outcome_unknown())
            self.settle()

    def restart(self) -> None:
        """kill -9 and a new process."""
        for phone in self.phones:
            wire, phone_wire = phone.wire, phone.wire
            if wire is not None and phone_wire is wire:
                wire.server_closed = wire.gone = True
                phone.hang_up(self.now)
        self.scheduler.queries.clear()
        self.scheduler.ready.clear()
        self.scheduler.deferred.clear()
        self.processes += 1
        self.process = Process(self.scheduler, self.truth, self.processes)
        for driver in self.truth.drivers.values():
            self._told(driver)

    def pass_time(self, seconds: float) -> None:
        self.scheduler.monotonic_seconds += seconds
        self.process.tick()
        for phone in self.phones:
            wire = phone.wire
            phone.tick(self.now)
            if wire is not None and phone.wire is None:
                self._lost(wire)
        self.settle()

    def flow(self) -> None:
        """Everything under way arrives, in order."""
        busy = True
        while busy:
            self.settle()
            busy = False
            while self.scheduler.queries:
                busy = True
                self.database(0, answer=True)
            if self.process.applied < len(self.truth.log):
                busy = True
                self.relay(len(self.truth.log))
            for phone in self.phones:
                if phone.wire is not None and phone.wire.busy:
                    busy = True
                    self.up(phone, 1_000)
                    self.down(phone, 1_000)

    def settle(self) -> None:
        self.scheduler.run()
        assert not self.laws.broken, self.laws.broken

    # The end

    def calm(self) -> None:
        """Faults stop: everything is answered, told and delivered; phones come back, of two of one driver the first
        that is not told to stay away."""
        for phone in self.phones:
            if phone.wire is not None and phone.wire.stalled:
                phone.wire.stall(False)
        deadline = self.now + CALM_SECONDS_MAX
        quiet = 0
        located: dict[Phone, Wire | None] = {}
        while quiet < 3:
            assert self.now < deadline, "it does not come to rest"
            quiet = quiet + 1 if self._round(located) else 0
            self.pass_time(1.0)

    def _round(self, located: dict[Phone, Wire | None]) -> bool:
        self.truth.sweep()
        for phone in self.phones:
            if not phone.replaced:
                self.connect(phone, positioned=True)
            if phone.live and phone.wire is not located.get(phone):
                located[phone] = phone.wire
                self.locate(phone, phone.place)
        self.flow()
        return all(phone.replaced or (phone.live and not phone.session.pending) for phone in self.phones)

    def _lost(self, wire: Wire) -> None:
        wire.server_closed = True
        if not wire.gone:
            wire.gone = True
            wire.connection.lost()

    def _was_at(self, phone: Phone) -> None:
        self.laws.been[phone.driver_id].add(CELLS[phone.place])

    def looked(self, driver: Driver) -> None:
        self.laws.entitled_before[driver.driver_id] |= driver.offer_types

    def _told(self, driver: Driver) -> None:
        self.laws.entitled_before[driver.driver_id] = set(driver.offer_types)
        declined = {offer.offer_id for offer in self.offers() if driver.driver_id in offer.declined}
        self.laws.declined[driver.driver_id] = declined

    def offers(self) -> list[Offer]:
        return list(self.truth.offers.values())
