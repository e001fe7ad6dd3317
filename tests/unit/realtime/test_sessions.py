"""Sessions over a link that breaks, against the one law: contiguous facts or a reset, and the board of a newcomer."""

from uuid import UUID

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from flexlive.protocol import driver as wire
from flexlive.protocol.client_session import ClientSession, CloseSocket, Opened, SendFrame, Violation
from flexlive.protocol.codec import decode_client, encode_server, fact_template, splice_seq
from flexlive.protocol.limits import RESUME_WINDOW_SECONDS
from flexlive.protocol.resume import Replay, decide_resume
from flexlive.realtime.board import Board
from flexlive.realtime.facts import OfferEnded
from flexlive.realtime.hub import Hub, HubFact
from flexlive.realtime.sessions import DriverSession, SessionOptions, SessionStore

from .board_world import CELLS, MARKET, NOW, POINTS, offer_id, shown

DRIVER, FAMILY = UUID(int=1), UUID(int=2)
TYPES = frozenset({"retail_delivery"})
SKIP = fact_template("skip", b"{}")
LIMITS = wire.Limits(
    frame_bytes_max=1, points_max=1, commands_burst_per_second=1, commands_per_minute=1, ack_delay_seconds_max=1
)


class World:
    def __init__(self, options: SessionOptions | None = None) -> None:
        self.now = 100.0
        self.sids = 0
        self.hub = Hub(lambda callback: callback())
        self.board = Board(self.hub)
        self.store = self.boot("boot-0", options)

    def boot(self, epoch: str, options: SessionOptions | None = None) -> SessionStore:
        return SessionStore(
            self.hub, self.board, epoch=epoch, now=lambda: self.now, new_sid=self.new_sid, options=options
        )

    def new_sid(self) -> str:
        self.sids += 1
        return f"sid-{self.sids}"


class Wire:
    """One socket as the session sees it; frames wait until the phone reads them."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.up = True
        self.holding = True

    def push(self, seq: int, fact: HubFact, now: float) -> None:
        if not self.holding and fact.template is not None:
            self.frames.append(splice_seq(fact.template, seq))

    def replaced(self) -> None:
        self.up = False

    def logged_out(self) -> None:
        self.up = False


def answer_hello(world: World, hello: wire.Hello, socket: Wire) -> DriverSession:
    """What web/driver_opening does, without a database."""
    former = world.store.find(MARKET, DRIVER)
    decision = decide_resume(hello.resume, world.store.epoch, former.remembered() if former else None)
    if isinstance(decision, Replay) and former is not None:
        world.store.attach(former, socket, FAMILY)
        socket.frames.append(encode_server(wire.Resumed(from_=decision.from_seq, to=decision.to_seq)))
        for seq, fact in former.ring.after(decision.from_seq) or ():
            dead = fact.offer_id is not None and not world.board.is_open(MARKET, fact.offer_id)
            socket.frames.append(splice_seq(SKIP if dead or fact.template is None else fact.template, seq))
        socket.frames.append(encode_server(wire.Live()))
        socket.holding = False
        return former
    session = world.store.open(MARKET, DRIVER, FAMILY, TYPES, socket)
    world.board.place(session.seat, None if hello.position is None else (hello.position.lat, hello.position.lon),
                      online=True)  # fmt: skip
    offers = tuple(msgspec.json.decode(each, type=wire.OfferView) for each in world.board.render(session.seat, NOW))
    socket.frames.append(
        encode_server(
            wire.Welcome(sid=session.sid, epoch=world.store.epoch, seq=0, server_time=NOW, heartbeat_seconds=25,
                         resume_window_seconds=120, limits=LIMITS)
        )
    )  # fmt: skip
    socket.frames.append(encode_server(wire.Snapshot(seq=0, presence="online", routes=(), offers=offers)))
    socket.holding = False
    return session


class Resuming(RuleBasedStateMachine):
    """One driver over connect, drop, resume, ack, expire, move, restart, takeover."""

    places = st.integers(0, 3)
    offers = st.integers(0, 4)

    @initialize()
    def start(self) -> None:
        self.world = World()
        self.phone = ClientSession(app_version="1", device_id="d")
        self.socket: Wire | None = None
        self.session: DriverSession | None = None
        self.place = 0
        self.versions: dict[int, tuple[int, set[int]]] = {}
        self.over: set[int] = set()

    def _here(self) -> wire.Point:
        lat, lon = POINTS[self.place]
        return wire.Point(lat=lat, lon=lon, at=NOW, accuracy_m=5)

    def _server_side(self) -> DriverSession | None:
        session = self.session
        if session is None or self.world.store.find(MARKET, DRIVER) is not session:
            return None
        return session

    @rule()
    def connect(self) -> None:
        self.drop()
        self.socket = Wire()
        hello = decode_client(self.phone.open(self._here(), self.world.now))
        assert isinstance(hello, wire.Hello)
        self.session = answer_hello(self.world, hello, self.socket)
        self.world.board.move(self.session.seat, *POINTS[self.place], NOW)

    @rule()
    def drop(self) -> None:
        """The link breaks: whatever was not read is lost."""
        socket, self.socket = self.socket, None
        if socket is not None:
            self.phone.lost(self.world.now)
            if self.session is not None:
                self.world.store.detach(self.session, socket)

    @rule()
    def take_over(self) -> None:
        """Another phone of the same driver."""
        other = Wire()
        session = answer_hello(self.world, wire.Hello(app_version="1", device_id="other"), other)
        assert self.socket is None or not self.socket.up
        self.drop()
        self.world.store.detach(session, other)

    @rule()
    def restart(self) -> None:
        self.drop()
        session = self._server_side()
        if session is not None:
            self.world.store.end(session)
        self.world.store = self.world.boot(f"boot-{self.world.now}-{self.world.sids}")

    @rule(seconds=st.integers(1, 70))
    def wait(self, seconds: int) -> None:
        self.world.now += seconds
        self.world.store.expire()

    @rule(offer=offers, where=places)
    def show(self, offer: int, where: int) -> None:
        if offer in self.over:
            return  # an offer that has ended is never opened again
        version, cells = self.versions.get(offer, (0, set[int]()))
        self.versions[offer] = (version + 1, cells | {where})
        event = shown(offer, version=version + 1, where=tuple(CELLS[each] for each in cells | {where}))
        self.world.board.show(MARKET, event)

    @rule(offer=offers)
    def end(self, offer: int) -> None:
        self.over.add(offer)
        self.versions.pop(offer, None)
        self.world.board.end(MARKET, OfferEnded(offer_id(offer), "expired", NOW))

    @rule(place=places)
    def drive(self, place: int) -> None:
        self.place = place
        session = self._server_side()
        if session is not None and self.socket is not None:
            self.world.board.move(session.seat, *POINTS[place], NOW)

    @rule(count=st.integers(1, 100))
    def read(self, count: int) -> None:
        if self.socket is None:
            return
        frames, self.socket.frames = self.socket.frames[:count], self.socket.frames[count:]
        for frame in frames:
            for effect in self.phone.received(frame, self.world.now, 0.0):
                assert not isinstance(effect, Violation | CloseSocket)
                if isinstance(effect, Opened):
                    self.opened_whole(effect)

    def opened_whole(self, opened: Opened) -> None:
        assert self.session is not None
        assert self.phone.seq <= self.session.ring.last_seq

    @rule()
    def acknowledge(self) -> None:
        for effect in self.phone.tick(self.world.now):
            if isinstance(effect, SendFrame):
                message = decode_client(effect.data)
                session = self._server_side()
                if isinstance(message, wire.Ack) and session is not None:
                    assert session.ring.ack(message.seq)
            elif isinstance(effect, CloseSocket):
                self.drop()

    @invariant()
    def a_phone_that_has_read_everything_knows_what_a_newcomer_would(self) -> None:
        session = self._server_side() if hasattr(self, "world") else None
        if session is None or self.socket is None or self.socket.frames or not self.socket.up:
            return
        assert self.phone.seq == session.ring.last_seq
        fresh = {msgspec.json.decode(body, type=wire.OfferView).offer_id: body
                 for body in self.world.board.render(session.seat, NOW)}  # fmt: skip
        versions = {key: msgspec.json.decode(body, type=wire.OfferView).offer_version for key, body in fresh.items()}
        assert {key: offer.offer_version for key, offer in self.phone.state.offers.items()} == versions


Resuming.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
TestResuming = Resuming.TestCase


def open_one(world: World, number: int) -> tuple[DriverSession, Wire]:
    socket = Wire()
    return world.store.open(MARKET, UUID(int=number), FAMILY, TYPES, socket), socket


def test_a_second_connection_replaces_the_first_before_anything_reaches_it():
    world = World()
    first, first_socket = open_one(world, 1)
    second, second_socket = open_one(world, 1)
    assert (first_socket.up, second_socket.up) == (False, True)
    assert world.store.find(MARKET, UUID(int=1)) is second
    assert not world.store.detach(first, first_socket)


def test_sessions_end_when_the_window_has_passed_and_never_before():
    world = World()
    session, socket = open_one(world, 1)
    world.now += RESUME_WINDOW_SECONDS * 2
    assert world.store.expire() == 0
    world.store.detach(session, socket)
    world.now += RESUME_WINDOW_SECONDS - 1
    assert world.store.expire() == 0
    world.now += 1
    assert world.store.expire() == 1
    assert len(world.store) == 0
    assert world.hub.channel_count() == 0


def test_sessions_without_a_socket_are_bounded_the_longest_gone_go_first():
    world = World(SessionOptions(detached_sessions_max=2))
    for number in range(3):
        world.store.detach(*open_one(world, number))
    assert world.store.find(MARKET, UUID(int=0)) is None
    assert world.store.find(MARKET, UUID(int=1)) is not None
    assert len(world.store) == 2


def test_logging_out_ends_that_login_only():
    world = World()
    _, socket = open_one(world, 1)
    world.store.family_revoked(MARKET, UUID(int=1), UUID(int=999))
    assert socket.up
    world.store.family_revoked(MARKET, UUID(int=1), FAMILY)
    assert not socket.up
    assert len(world.store) == 0
