"""What must be so when faults have stopped and everything has been delivered."""

from __future__ import annotations

from flexlive.protocol import driver as wire
from tests.simulation.sessions.phone import Phone
from tests.simulation.sessions.truth import CELLS
from tests.simulation.sessions.world import World, hub_failures


def judge(world: World) -> None:
    world.calm()
    assert hub_failures() == world.hub_failures_before
    for phone in world.phones:
        if phone.live:
            _knows_everything(world, phone)
            _board_is_that_of_a_newcomer(world, phone)
    _one_effect_each(world)


def _knows_everything(world: World, phone: Phone) -> None:
    driver, state = world.truth.drivers[phone.driver_id], phone.session.state
    assert {route_id: route.version for route_id, route in state.routes.items()} == {
        route_id: route.version for route_id, route in driver.routes.items()
    }
    owed = {notice_id for notice_id, owner in world.truth.notices.items() if owner == phone.driver_id}
    assert owed <= phone.notices, "a notice was never shown"
    open_offers = {o.offer_id: o for o in world.offers() if o.status == "open"}
    assert state.offers.keys() <= open_offers.keys(), "a dead card"
    for offer_id, offer in state.offers.items():
        assert offer.offer_version == open_offers[offer_id].version, "a stale card"
        assert offer.offer_type in driver.offer_types, "a card the driver is not entitled to"
    if driver.online:
        here = CELLS[phone.place]
        wanted = {
            o.offer_id
            for o in open_offers.values()
            if here in o.cells and o.offer_type in driver.offer_types and phone.driver_id not in o.declined
        }
        wanted -= driver.withdrawn
        assert wanted <= state.offers.keys() | state.settled, "an open offer is missing"


def _board_is_that_of_a_newcomer(world: World, phone: Phone) -> None:
    """What resumes and facts have built up is what a snapshot says now."""
    if not world.truth.drivers[phone.driver_id].online:
        return
    before = _board(phone)
    phone.signal(wire.Sync(), world.now)
    world.calm()
    # An offer's time may be over between the two looks; and a card that the driver's former phone has declined just
    # before this one took over goes with the next snapshot only.
    still = {o.offer_id for o in world.offers() if o.status == "open" and phone.driver_id not in o.declined}
    known = {offer_id: version for offer_id, version in before.items() if offer_id in still}
    assert _board(phone) == known, "the board is not that of a fresh snapshot"


def _board(phone: Phone) -> dict[object, int]:
    return {offer_id: offer.offer_version for offer_id, offer in phone.session.state.offers.items()}


def _one_effect_each(world: World) -> None:
    truth = world.truth
    assert all(count == 1 for count in truth.decided.values())
    for phone in world.phones:
        for cmd, command in phone.given.items():
            if phone.replaced and cmd not in phone.answers:
                continue
            answer = phone.answers[cmd]
            if answer.code == "rate_limited":
                continue
            assert truth.decided[phone.driver_id, phone.device_id, cmd] == 1
            if isinstance(command, wire.OfferAccept) and answer.code == "won":
                assert truth.winners[command.offer_id] == phone.driver_id, "won without a committed row"
