"""Who has a driver when processes disagree: over a bus that loses, doubles and shuffles, one session is left."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule

from flexlive.realtime.bus import Unsubscribe
from flexlive.realtime.roster import Roster, RosterOptions
from flexlive.realtime.roster_words import CONNECTED, decode, encode

MARKET = "m"
DRIVERS = [UUID(int=number) for number in range(1, 4)]


class Air:
    """Messages under way; whoever tests decides which arrive, when and how often."""

    def __init__(self) -> None:
        self.listeners: list[tuple[str, Callable[[bytes], None]]] = []
        self.waiting: list[tuple[str, bytes]] = []

    connected = True

    def publish(self, topic: str, payload: bytes) -> None:
        self.waiting.append((topic, payload))

    def subscribe(self, topic: str, callback: Callable[[bytes], None]) -> Unsubscribe:
        self.listeners.append((topic, callback))
        return lambda: None

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def deliver(self, index: int, *, again: bool = False) -> None:
        topic, payload = self.waiting[index] if again else self.waiting.pop(index)
        for heard, callback in self.listeners:
            if heard == topic:
                callback(payload)

    def deliver_all(self) -> None:
        while self.waiting:
            self.deliver(0)


class Process:
    """A process with its sessions: driver → whether a socket is up."""

    def __init__(self, air: Air, number: int, clock: Callable[[], float]) -> None:
        self.roster = Roster(air, UUID(int=number).hex, clock, RosterOptions(entries_per_message_max=2))
        self.roster.follow(MARKET)
        self.roster.bind(self.lost)
        self.sessions: dict[UUID, bool] = {}

    def lost(self, market_id: str, driver_id: UUID) -> None:
        del self.sessions[driver_id]
        self.roster.released(market_id, driver_id)

    def claim(self, driver_id: UUID, at: float) -> bool:
        won = self.roster.claim(MARKET, driver_id, at)
        if won:
            self.sessions[driver_id] = True
        elif driver_id in self.sessions:
            self.lost(MARKET, driver_id)
        return won


class World:
    def __init__(self, processes: int = 2) -> None:
        self.now = 100.0
        self.air = Air()
        self.processes = [Process(self.air, number, lambda: self.now) for number in range(1, processes + 1)]


def test_a_driver_connected_anywhere_is_connected_for_all():
    world = World()
    here, there = world.processes
    assert here.claim(DRIVERS[0], 5.0)
    world.air.deliver_all()
    assert there.roster.connected(MARKET) == here.roster.connected(MARKET) == {DRIVERS[0]}
    assert there.roster.is_connected(MARKET, DRIVERS[0])
    assert not there.roster.is_connected(MARKET, DRIVERS[1])
    here.roster.set_unreachable(MARKET, DRIVERS[0], True)
    here.roster.tell_changes()
    world.air.deliver_all()
    assert there.roster.unreachable(MARKET) == {DRIVERS[0]}
    here.roster.disconnected(MARKET, DRIVERS[0])
    here.roster.tell_changes()
    world.air.deliver_all()
    assert there.roster.connected(MARKET) == there.roster.unreachable(MARKET) == frozenset()


def test_the_newer_claim_has_the_driver_whichever_is_heard_first():
    world = World()
    old, new = world.processes
    old.claim(DRIVERS[0], 5.0)
    new.claim(DRIVERS[0], 6.0)
    world.air.deliver_all()
    assert (old.sessions, new.sessions) == ({}, {DRIVERS[0]: True})


def test_a_lost_claim_is_made_up_for_by_the_list():
    world = World()
    old, new = world.processes
    old.claim(DRIVERS[0], 5.0)
    new.claim(DRIVERS[0], 6.0)
    world.air.waiting.clear()
    old.roster.tell_all()
    world.air.deliver_all()
    assert (old.sessions, new.sessions) == ({}, {DRIVERS[0]: True})


def test_a_session_without_a_socket_is_given_up_to_a_newer_one_and_keeps_off_an_older():
    world = World()
    here, there = world.processes
    here.claim(DRIVERS[0], 5.0)
    here.roster.disconnected(MARKET, DRIVERS[0])
    here.sessions[DRIVERS[0]] = False
    world.air.waiting.clear()
    there.claim(DRIVERS[0], 4.0)
    world.air.deliver_all()
    assert (here.sessions, there.sessions) == ({DRIVERS[0]: False}, {})
    there.claim(DRIVERS[0], 7.0)
    world.air.deliver_all()
    assert (here.sessions, there.sessions) == ({}, {DRIVERS[0]: True})


def test_a_known_newer_claim_refuses_an_older_one():
    world = World()
    here, there = world.processes
    there.claim(DRIVERS[0], 9.0)
    world.air.deliver_all()
    assert here.roster.newest_claim_elsewhere(MARKET, DRIVERS[0]) == 9.0
    assert not here.claim(DRIVERS[0], 8.0)
    assert here.claim(DRIVERS[0], 9.5)


def test_what_a_process_said_is_forgotten_when_it_is_not_repeated():
    world = World()
    here, there = world.processes
    there.claim(DRIVERS[0], 5.0)
    there.claim(DRIVERS[1], 5.0)
    world.air.deliver_all()
    world.now += 7.0
    del there.sessions[DRIVERS[1]]
    there.roster.released(MARKET, DRIVERS[1])  # and the word of it is lost
    there.roster.tell_all()
    world.air.deliver_all()
    assert here.roster.connected(MARKET) == set(DRIVERS[:2])
    world.now += 1.0
    assert here.roster.connected(MARKET) == {DRIVERS[0]}
    assert here.roster.newest_claim_elsewhere(MARKET, DRIVERS[1]) < 0
    world.now += 8.0
    assert here.roster.connected(MARKET) == frozenset()


def test_a_word_that_was_overtaken_undoes_nothing():
    world = World()
    here, there = world.processes
    there.claim(DRIVERS[0], 5.0)
    there.roster.disconnected(MARKET, DRIVERS[0])
    there.roster.tell_changes()
    world.air.deliver(1)
    world.air.deliver(0)
    assert here.roster.connected(MARKET) == frozenset()


@given(st.binary(max_size=100))
def test_bytes_that_are_no_word_harm_nobody(payload: bytes):
    world = World(1)
    world.air.publish(f"roster.{MARKET}", payload)
    world.air.deliver_all()


@given(st.binary(min_size=16, max_size=16), st.integers(0, 2**64 - 1), st.lists(st.integers(0, 2**128 - 1), max_size=5))
def test_a_word_is_read_as_it_was_written(process: bytes, number: int, drivers: list[int]):
    entries = [(driver.to_bytes(16), 1.5, CONNECTED) for driver in drivers]
    word = decode(encode(process, number, entries))
    assert word is not None
    assert (word.process, word.number, list(word.entries)) == (process, number, entries)


class Contest(RuleBasedStateMachine):
    """Three processes, three drivers; every claim has its own time, as the database would give it."""

    drivers = Bundle("drivers")

    @initialize()
    def begin(self) -> None:
        self.world = World(3)
        self.clock = 1.0
        self.latest: dict[UUID, int] = {}

    @rule(process=st.integers(0, 2), driver=st.sampled_from(DRIVERS))
    def connect(self, process: int, driver: UUID) -> None:
        self.clock += 1.0
        assert self.world.processes[process].claim(driver, self.clock)
        self.latest[driver] = process

    @rule(process=st.integers(0, 2), driver=st.sampled_from(DRIVERS))
    def drop(self, process: int, driver: UUID) -> None:
        at = self.world.processes[process]
        if at.sessions.get(driver):
            at.sessions[driver] = False
            at.roster.disconnected(MARKET, driver)

    @rule(index=st.integers(0, 1000), again=st.booleans())
    def arrive(self, index: int, again: bool) -> None:
        if self.world.air.waiting:
            self.world.air.deliver(index % len(self.world.air.waiting), again=again)

    @rule(index=st.integers(0, 1000))
    def lose(self, index: int) -> None:
        if self.world.air.waiting:
            del self.world.air.waiting[index % len(self.world.air.waiting)]

    @rule()
    def change(self) -> None:
        for process in self.world.processes:
            process.roster.tell_changes()

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        # What is under way arrives, is forgotten, and then all say where they stand.
        self.change()
        self.world.air.deliver_all()
        self.world.now += 20.0
        for _ in range(2):
            for process in self.world.processes:
                process.roster.tell_all()
            self.world.air.deliver_all()
            # Who lost a claim by that says so at once.
            self.change()
            self.world.air.deliver_all()
        for driver in DRIVERS:
            connected = [number for number, process in enumerate(self.world.processes) if process.sessions.get(driver)]
            assert len(connected) <= 1, "two processes think the driver is theirs"
            latest = self.latest.get(driver)
            if latest is not None and driver in self.world.processes[latest].sessions:
                assert connected in ([latest], []), "an older connection is left instead of the newest"
            held = {driver} if connected else set[UUID]()
            for process in self.world.processes:
                assert process.roster.connected(MARKET) & {driver} == held


TestContest = Contest.TestCase
TestContest.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
