"""The state machine that Hypothesis drives: everything that can happen to a driver's connection, in any order."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from flexlive.protocol import driver as wire
from tests.simulation.sessions.endings import judge
from tests.simulation.sessions.phone import Phone
from tests.simulation.sessions.truth import CELLS, TYPES
from tests.simulation.sessions.world import World

PHONES = st.integers(0, 2)
HANG = st.sampled_from((False, False, True))
"""Whether what a step set in motion stays under way; else everything flows before the next step."""
PLACES = st.integers(0, len(CELLS) - 1)
ANY = st.integers(0, 7)
FEW = st.integers(1, 4)
FLAG = st.booleans()


class DriverConnections(RuleBasedStateMachine):
    """At the end faults stop, and everything must have come right."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @initialize(online=st.booleans(), second=st.booleans())
    def begin(self, online: bool, second: bool) -> None:
        """A working day: the drivers are connected, and mostly online."""
        for number in (0, 2) if second else (0,):
            self.world.connect(self.phone(number), positioned=True)
            self.world.flow()
            self.presence(number, online, hang=False)

    def phone(self, number: int) -> Phone:
        return self.world.phones[number]

    def flow(self, hang: bool) -> None:
        if not hang:
            self.world.flow()

    # The phone and its link

    @rule(number=PHONES, positioned=FLAG, hang=HANG)
    def connect(self, number: int, positioned: bool, hang: bool) -> None:
        self.world.connect(self.phone(number), positioned=positioned)
        self.flow(hang)

    @rule(number=PHONES, server_knows=FLAG)
    def drop(self, number: int, server_knows: bool) -> None:
        self.world.drop(self.phone(number), server_knows=server_knows)

    @rule(number=PHONES, frames=FEW)
    def server_reads(self, number: int, frames: int) -> None:
        self.world.up(self.phone(number), frames)

    @rule(number=PHONES, frames=FEW)
    def phone_reads(self, number: int, frames: int) -> None:
        self.world.down(self.phone(number), frames)

    @rule(number=PHONES, up=FLAG, at=ANY, to=FEW, what=st.sampled_from(("repeat", "swap", "lose")))
    def mangle(self, number: int, up: bool, at: int, to: int, what: str) -> None:
        """The link repeats, shuffles or loses what is under way."""
        link = self.phone(number).wire
        if link is not None:
            match what:
                case "repeat":
                    link.repeat(up, at, to)
                case "swap":
                    link.swap(up, at)
                case _:
                    link.lose(up, at)

    @rule(number=PHONES, stalled=FLAG)
    def stall(self, number: int, stalled: bool) -> None:
        link = self.phone(number).wire
        if link is not None:
            link.stall(stalled)

    # The driver

    @rule(number=PHONES, place=PLACES, hang=HANG)
    def move(self, number: int, place: int, hang: bool) -> None:
        self.world.locate(self.phone(number), place)
        self.flow(hang)

    @rule(number=PHONES, online=FLAG, hang=HANG)
    def presence(self, number: int, online: bool, hang: bool) -> None:
        phone = self.phone(number)
        mode: wire.PresenceMode = "online" if online else "offline"
        phone.command(wire.PresenceSet(cmd=phone.next_cmd(), mode=mode), self.world.now)
        self.flow(hang)

    @rule(number=PHONES, which=ANY, hang=HANG)
    def accept(self, number: int, which: int, hang: bool) -> None:
        phone = self.phone(number)
        offers = list(phone.session.state.offers.values())
        if offers:
            offer = offers[which % len(offers)]
            command = wire.OfferAccept(cmd=phone.next_cmd(), offer_id=offer.offer_id, offer_version=offer.offer_version)
            phone.command(command, self.world.now)
        self.flow(hang)

    @rule(number=PHONES, which=ANY, hang=HANG)
    def decline(self, number: int, which: int, hang: bool) -> None:
        phone = self.phone(number)
        offers = list(phone.session.state.offers)
        if offers:
            command = wire.OfferDecline(cmd=phone.next_cmd(), offer_id=offers[which % len(offers)])
            phone.command(command, self.world.now)
        self.flow(hang)

    @rule(number=PHONES, hang=HANG)
    def sync(self, number: int, hang: bool) -> None:
        self.phone(number).signal(wire.Sync(), self.world.now)
        self.flow(hang)

    @rule(number=PHONES, which=ANY, stage=st.integers(0, 3), server_knows=FLAG, hang=HANG)
    def command_cut_off(self, number: int, which: int, stage: int, server_knows: bool, hang: bool) -> None:
        """The socket ends at the worst moment: before the server reads, before the commit, before the answer is sent,
        before it is read. The phone comes back."""
        world, phone = self.world, self.phone(number)
        if phone.session.state.offers:
            self.accept(number, which, hang=True)
        else:
            self.presence(number, online=True, hang=True)
        if stage > 0:
            world.up(phone, 9)
        if stage > 1:
            for query in list(world.scheduler.queries):
                query.perform()
        if stage > 2:
            world.database(0, answer=True)
        world.drop(phone, server_knows=server_knows)
        self.connect(number, positioned=False, hang=hang)

    # Shops, dispatcher, operators

    @rule(near=PHONES, type_=st.integers(0, len(TYPES) - 1), hang=HANG)
    def open_offer(self, near: int, type_: int, hang: bool) -> None:
        self.world.truth.open_offer(self.phone(near).place, type_)
        self.flow(hang)

    @rule(which=ANY, where=PLACES, widen=FLAG, hang=HANG)
    def change_offer(self, which: int, where: int, widen: bool, hang: bool) -> None:
        offers = self.world.offers()
        if offers:
            offer = offers[-1 - which % len(offers)]
            if widen:
                self.world.truth.widen(offer, where)
            else:
                self.world.truth.withdraw(offer)
        self.flow(hang)

    @rule(number=st.integers(0, 1), types=st.sampled_from(((), TYPES[:1], TYPES)), hang=HANG)
    def entitle(self, number: int, types: tuple[str, ...], hang: bool) -> None:
        truth = self.world.truth
        driver = list(truth.drivers.values())[number]
        truth.entitle(driver, frozenset(types))
        # Facts are told in order: what was given and taken again is shown and withdrawn in one breath.
        self.world.looked(driver)
        self.flow(hang)

    @rule(number=st.integers(0, 1), what=st.integers(0, 2), hang=HANG)
    def tell_driver(self, number: int, what: int, hang: bool) -> None:
        truth = self.world.truth
        driver = list(truth.drivers.values())[number]
        if what == 0:
            truth.notify(driver)
        else:
            truth.change_route(driver, end=what == 2)
        self.flow(hang)

    # Server, database, time

    @rule(facts=FEW)
    def relay(self, facts: int) -> None:
        self.world.relay(facts)

    @rule(which=ANY, answer=FLAG)
    def database(self, which: int, answer: bool) -> None:
        self.world.database(which, answer=answer)

    @rule(which=ANY)
    def commit_unanswered(self, which: int) -> None:
        self.world.commit_unanswered(which)

    @rule(sweep=FLAG, seconds=st.sampled_from((0.2, 1.0, 0.2, 1.0, 3.0, 6.0, 11.0, 26.0, 61.0, 125.0)))
    def pass_time(self, sweep: bool, seconds: float) -> None:
        self.world.pass_time(seconds)
        if sweep:
            self.world.truth.sweep()

    @rule(kill=st.integers(0, 3))
    def restart(self, kill: int) -> None:
        if kill == 0:
            self.world.restart()

    def teardown(self) -> None:
        if not self.world.laws.broken:
            judge(self.world)
