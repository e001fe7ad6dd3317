"""Failures that users of other systems report, by name, each as the shortest run that would show it."""

from __future__ import annotations

from flexlive.protocol import driver as wire
from tests.simulation.sessions.endings import judge
from tests.simulation.sessions.phone import Phone
from tests.simulation.sessions.world import World


def working(*numbers: int, online: bool = True) -> World:
    world = World()
    for number in numbers:
        phone = world.phones[number]
        world.connect(phone, positioned=True)
        world.flow()
        if online:
            presence(world, phone, "online")
    return world


def presence(world: World, phone: Phone, mode: wire.PresenceMode) -> None:
    phone.command(wire.PresenceSet(cmd=phone.next_cmd(), mode=mode), world.now)
    world.flow()


def accept(world: World, phone: Phone) -> str:
    (offer,) = phone.session.state.offers.values()
    cmd = phone.next_cmd()
    phone.command(wire.OfferAccept(cmd=cmd, offer_id=offer.offer_id, offer_version=offer.offer_version), world.now)
    return cmd


def test_going_online_misses_open_offers() -> None:
    """An offer that opened while the driver was offline is there the moment the driver goes online."""
    world = working(0, online=False)
    world.truth.open_offer(0, 0)
    world.flow()
    assert world.phones[0].session.state.offers == {}
    presence(world, world.phones[0], "online")
    assert len(world.phones[0].session.state.offers) == 1
    judge(world)


def test_going_online_while_the_snapshot_is_being_read_misses_nothing() -> None:
    world = working(0, online=False)
    world.truth.open_offer(0, 0)
    world.relay(9)
    phone = world.phones[0]
    world.drop(phone, server_knows=True)
    world.pass_time(125)
    world.truth.open_offer(0, 0)
    world.connect(phone, positioned=True)
    world.up(phone, 1)
    world.database(0, answer=False)
    world.truth.drivers[phone.driver_id].online = False
    world.truth.execute(phone.driver_id, "elsewhere", wire.PresenceSet(cmd="x", mode="online"))
    world.relay(9)
    world.flow()
    assert len(phone.session.state.offers) == 1
    judge(world)


def test_dead_card_clickable() -> None:
    """What was taken while the phone was in the garage is not on its screen when it is back, and a late word of it
    does not bring it back."""
    world = working(0, 2)
    a, b = world.phones[0], world.phones[2]
    world.truth.open_offer(0, 0)
    world.flow()
    world.drop(a, server_knows=False)
    accept(world, b)
    world.flow()
    world.connect(a, positioned=False)
    world.flow()
    assert a.resumed == 1
    assert a.session.state.offers == {}
    assert a.session.state.settled == set(world.truth.offers)
    judge(world)


def test_a_card_that_opened_and_died_meanwhile_is_a_skip() -> None:
    world = working(0, 2)
    a, b = world.phones[0], world.phones[2]
    world.drop(a, server_knows=True)
    world.truth.open_offer(0, 0)
    world.flow()
    accept(world, b)
    world.flow()
    world.connect(a, positioned=False)
    world.up(a, 1)
    assert a.wire is not None
    frames = [frame for frame in a.wire.down if isinstance(frame, bytes)]
    assert sum(b'"offer.open"' in frame for frame in frames) == 0
    assert sum(b'"skip"' in frame for frame in frames) == 1
    judge(world)


def test_signature_on_the_wrong_job() -> None:
    """Commands given in a lift arrive once, in the order given, each answered as itself."""
    world = working(0)
    phone = world.phones[0]
    world.drop(phone, server_knows=False)
    given = [(phone.next_cmd(), mode) for mode in ("offline", "online", "offline", "online")]
    for cmd, mode in given:
        phone.command(wire.PresenceSet(cmd=cmd, mode=mode), world.now)
    world.connect(phone, positioned=False)
    world.flow()
    assert phone.wire is not None
    told = [row.data for row in world.truth.log if row.kind == "driver.presence"][-4:]
    assert [b"offline" in bytes(data) for data in told] == [True, False, True, False]
    assert all(phone.answers[cmd].ok for cmd, _ in given)
    judge(world)


def test_stale_list() -> None:
    """A snapshot read before a change does not undo the change that came while it was under way."""
    world = working(0, 2)
    a, b = world.phones[0], world.phones[2]
    world.truth.open_offer(0, 0)
    world.flow()
    a.signal(wire.Sync(), world.now)
    world.up(a, 1)
    (query,) = world.scheduler.queries
    query.perform()
    accept(world, b)
    world.up(b, 9)
    world.database(1, answer=True)
    world.relay(9)
    query.answer()
    world.settle()
    world.flow()
    assert a.session.state.offers == {}
    judge(world)


def test_an_old_list_that_comes_late_is_not_believed() -> None:
    world = working(0)
    phone = world.phones[0]
    phone.signal(wire.Sync(), world.now)
    world.up(phone, 1)
    world.database(0, answer=True)
    assert phone.wire is not None
    phone.wire.repeat(False, len(phone.wire.down) - 1, 0)
    late = phone.wire.down.pop()
    world.flow()
    world.truth.open_offer(0, 0)
    world.flow()
    phone.wire.down.append(late)
    world.flow()
    assert len(phone.session.state.offers) == 1
    judge(world)


def test_double_replay() -> None:
    """A phone that resumes, resumes again before it has read anything, and again: every fact once, in order."""
    world = working(0)
    phone = world.phones[0]
    for _ in range(3):
        world.truth.open_offer(0, 0)
        world.relay(9)
        world.drop(phone, server_knows=False)
        world.connect(phone, positioned=False)
        world.up(phone, 1)
    world.flow()
    assert phone.resumed == 1
    assert phone.session.seq == 3
    assert len(phone.session.state.offers) == 3
    judge(world)


def test_a_card_withdrawn_from_a_driver_is_not_replayed() -> None:
    """An entitlement that ends while the phone is away: the card under way is not told of any more."""
    world = working(0)
    phone = world.phones[0]
    world.drop(phone, server_knows=False)
    world.truth.open_offer(0, 0)
    world.flow()
    world.truth.entitle(world.truth.drivers[phone.driver_id], frozenset())
    world.flow()
    world.connect(phone, positioned=False)
    world.flow()
    assert phone.resumed == 1
    assert phone.session.state.offers == {}
    judge(world)


def test_a_phone_that_does_not_acknowledge_is_unreachable_until_it_does() -> None:
    world = working(0)
    phone = world.phones[0]
    assert phone.wire is not None
    phone.wire.stall(True)
    world.truth.open_offer(0, 0)
    world.flow()
    world.pass_time(3.1)
    assert world.process.unreachable == {phone.driver_id}
    phone.wire.stall(False)
    world.flow()
    world.pass_time(1.0)
    world.flow()
    assert world.process.unreachable == set()
    judge(world)
