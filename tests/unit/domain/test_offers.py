from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexlive.domain.drivers import DriverState, DriverStatus, Presence
from flexlive.domain.eligibility import Reason
from flexlive.domain.errors import RESULT_CODES
from flexlive.domain.offers import (
    OFFER_TERMINAL,
    OFFER_TRANSITIONS,
    AcceptRequest,
    AlreadyWon,
    Conflict,
    Expired,
    NotEligible,
    NotFound,
    OfferState,
    OfferStatus,
    Outcome,
    Taken,
    Withdrawn,
    Won,
    decide_accept,
    decide_batch,
    offer_sources,
    result_code,
)
from tests.unit.domain.builders import NOW, driver_state, offer_state, seconds, uid

# Mostly open offers and drivers on-line, so that winning, and then not winning again, happens often.
offers_by_id = st.fixed_dictionaries(
    {
        uid(number): st.builds(
            lambda status, left, driver, number=number: offer_state(
                number,
                status=status,
                valid_until=NOW + seconds(left),
                driver_id=uid(driver) if status in (OfferStatus.ACCEPTED, OfferStatus.COMPLETED) else None,
            ),
            st.sampled_from([OfferStatus.OPEN] * 12 + list(OfferStatus)),
            st.integers(-1, 4),
            st.integers(1, 4),
        )
        for number in range(100, 105)
    }
)
drivers_by_id = st.fixed_dictionaries(
    {
        uid(number): st.builds(
            lambda used, most, presence, number=number: driver_state(
                number, slots_used=frozenset(used), routes_active_max=most, presence=presence
            ),
            st.sets(st.integers(1, 3), max_size=2),
            st.integers(1, 3),
            st.sampled_from([Presence.ONLINE] * 4 + [Presence.OFFLINE]),
        )
        for number in range(1, 5)
    }
)
requests = st.lists(
    st.builds(
        AcceptRequest,
        st.integers(100, 105).map(uid),
        st.integers(1, 5).map(uid),
        st.none() | st.integers(0, 2),
    ),
    max_size=25,
)


@given(requests, offers_by_id, drivers_by_id)
def test_a_batch_never_has_two_winners_and_never_fills_a_slot_twice(
    asked: list[AcceptRequest], offers: dict, drivers: dict
) -> None:
    outcomes = decide_batch(asked, offers, drivers, NOW)
    won = [(ask, outcome) for ask, outcome in zip(asked, outcomes, strict=True) if isinstance(outcome, Won)]
    assert max(Counter(ask.offer_id for ask, _ in won).values(), default=0) <= 1
    slots = Counter((ask.driver_id, outcome.slot) for ask, outcome in won)
    for (driver_id, slot), count in slots.items():
        driver: DriverState = drivers[driver_id]
        assert count == 1
        assert slot not in driver.slots_used
        assert 1 <= slot <= driver.routes_active_max
    for ask, _ in won:
        offer: OfferState = offers[ask.offer_id]
        assert offer.status is OfferStatus.OPEN
        assert offer.valid_until >= NOW
        assert drivers[ask.driver_id].presence is Presence.ONLINE


@given(requests, offers_by_id, drivers_by_id)
def test_a_batch_is_the_accepts_one_after_another(asked: list[AcceptRequest], offers: dict, drivers: dict) -> None:
    one_by_one: list[Outcome] = []
    offers_now, drivers_now = dict(offers), dict(drivers)
    for ask in asked:
        (outcome,) = decide_batch([ask], offers_now, drivers_now, NOW)
        one_by_one.append(outcome)
        if isinstance(outcome, Won):
            offer, driver = offers_now[ask.offer_id], drivers_now[ask.driver_id]
            offers_now[ask.offer_id] = replace(offer, status=OfferStatus.ACCEPTED, driver_id=ask.driver_id)
            drivers_now[ask.driver_id] = replace(driver, slots_used=driver.slots_used | {outcome.slot})
    assert decide_batch(asked, offers, drivers, NOW) == one_by_one


@given(requests, offers_by_id, drivers_by_id)
def test_every_outcome_has_a_code_of_the_protocol(asked: list[AcceptRequest], offers: dict, drivers: dict) -> None:
    assert {result_code(outcome) for outcome in decide_batch(asked, offers, drivers, NOW)} <= RESULT_CODES


def test_thirty_two_drivers_one_offer() -> None:
    drivers = {uid(n): driver_state(n) for n in range(1, 33)}
    asked = [AcceptRequest(uid(100), uid(n), 1) for n in range(1, 33)]
    outcomes = decide_batch(asked, {uid(100): offer_state()}, drivers, NOW)
    assert outcomes == [Won(1), *[Taken()] * 31]


def test_the_winner_who_asks_again_has_won_already() -> None:
    ask = AcceptRequest(uid(100), uid(1))
    outcomes = decide_batch([ask, ask], {uid(100): offer_state()}, {uid(1): driver_state()}, NOW)
    assert outcomes == [Won(1), AlreadyWon()]
    assert [result_code(outcome) for outcome in outcomes] == ["won", "won"]


def test_a_driver_with_one_slot_wins_one_of_two() -> None:
    offers = {uid(100): offer_state(100), uid(101): offer_state(101)}
    asked = [AcceptRequest(uid(100), uid(1)), AcceptRequest(uid(101), uid(1))]
    outcomes = decide_batch(asked, offers, {uid(1): driver_state()}, NOW)
    assert outcomes == [Won(1), NotEligible(Reason.SLOTS_FULL)]


@pytest.mark.parametrize(
    ("offer", "outcome"),
    [
        (None, NotFound()),
        (offer_state(status=OfferStatus.SCHEDULED), NotFound()),
        (offer_state(status=OfferStatus.ACCEPTED, driver_id=uid(2)), Taken()),
        (offer_state(status=OfferStatus.COMPLETED, driver_id=uid(2)), Taken()),
        (offer_state(status=OfferStatus.FORFEITED, driver_id=uid(1)), Taken()),
        (offer_state(status=OfferStatus.EXPIRED), Expired()),
        (offer_state(status=OfferStatus.WITHDRAWN), Withdrawn()),
        (offer_state(valid_until=NOW), Won(1)),
        (offer_state(valid_until=NOW - seconds(0.000001)), Expired()),
        (offer_state(offer_type="grocery"), NotEligible(Reason.NOT_ENROLLED)),
    ],
)
def test_one_accept(offer: OfferState | None, outcome: Outcome) -> None:
    assert decide_accept(offer, driver_state(), NOW) == outcome


@pytest.mark.parametrize(
    ("driver", "reason"),
    [
        (driver_state(status=DriverStatus.SUSPENDED), Reason.NOT_ACTIVE),
        (driver_state(presence=Presence.OFFLINE), Reason.OFFLINE),
        (driver_state(declined=frozenset({uid(100)})), Reason.DECLINED),
        (driver_state(slots_used=frozenset({1})), Reason.SLOTS_FULL),
        (driver_state(vehicle=None), Reason.NO_VEHICLE),
    ],
)
def test_who_may_not(driver: DriverState, reason: Reason) -> None:
    assert decide_accept(offer_state(), driver, NOW) == NotEligible(reason)


def test_widening_keeps_the_terms_and_new_terms_ask_again() -> None:
    widened = offer_state(version=3)
    repriced = replace(widened, terms_since_version=3)
    assert decide_accept(widened, driver_state(), NOW, offer_version=1) == Won(1)
    assert decide_accept(repriced, driver_state(), NOW, offer_version=2) == Conflict(3)
    assert decide_accept(widened, driver_state(), NOW, offer_version=4) == Conflict(3)


def test_the_second_route_goes_to_the_free_slot() -> None:
    driver = driver_state(slots_used=frozenset({1, 3}), routes_active_max=3)
    assert decide_accept(offer_state(), driver, NOW) == Won(2)


def test_the_table_has_no_way_out_of_an_end() -> None:
    assert not {row.from_status for row in OFFER_TRANSITIONS} & OFFER_TERMINAL
    assert offer_sources(OfferStatus.ACCEPTED) == {OfferStatus.OPEN}
    assert {row.to_status for row in OFFER_TRANSITIONS} | {OfferStatus.SCHEDULED} == set(OfferStatus)
