"""What `staged` decides: few rings where drivers are many, more where nobody comes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexlive.domain import cells
from flexlive.domain.allocation.policies import POLICIES
from flexlive.domain.allocation.types import DeliveryHistory, DriverView, Expire, Open, OpenOfferView, Widen, Withdraw
from flexlive.domain.geography import Point
from flexlive.domain.markets import MarketPolicy
from flexlive.domain.offers import OfferStatus
from tests.unit.domain.builders import FASHION_SHOW, NOW, driver_state, driver_view, pending, seconds, uid

POLICY = MarketPolicy()


def decide_staged(
    deliveries=(), offers=(), drivers=(), history=None, now: datetime = NOW, policy: MarketPolicy = POLICY
):
    return POLICIES["staged"](now, 1, policy, list(deliveries), list(offers), list(drivers), history or {})


def opened(**changes: object) -> OpenOfferView:
    delivery = pending(1000)
    values: dict[str, object] = {
        "offer_id": uid(1),
        "delivery_ids": (delivery.delivery_id,),
        "site": delivery.site,
        "site_cell": delivery.site_cell,
        "ring": 0,
        "cells": cells.disk(delivery.site_cell, 0),
        "opened_at": NOW,
        "widen_at": NOW + seconds(12),
        "valid_until": NOW + seconds(120),
        "offer_type": delivery.offer_type,
    }
    return OpenOfferView(**(values | changes))  # type: ignore[arg-type]


def at_ring(k: int) -> Point:
    return Point(*cells.centre(cells.ring(cells.cell_of(*FASHION_SHOW, 7), k)[0]))


def test_enough_drivers_next_door_need_no_rings() -> None:
    (decision,) = decide_staged([pending(1000)], drivers=[driver_view(n) for n in range(1, 4)])
    assert isinstance(decision, Open)
    assert (decision.ring, decision.audience) == (0, 3)
    assert decision.expected_accepts == pytest.approx(1 - 0.13**3)


@given(st.integers(1, 8))
def test_the_radius_follows_the_density(k: int) -> None:
    crowd = [driver_view(n, at_ring(k), acceptance=1.0) for n in range(1, 60)]
    (decision,) = decide_staged([pending(1000)], drivers=crowd)
    assert isinstance(decision, Open)
    assert decision.ring == k
    assert crowd[0].cell in decision.cells


def test_nobody_at_all_means_all_rings() -> None:
    (decision,) = decide_staged([pending(1000)])
    assert isinstance(decision, Open)
    assert (decision.ring, decision.audience, decision.expected_accepts) == (POLICY.rings_max, 0, 0.0)
    assert decision.widen_at is None


@pytest.mark.parametrize(
    "unavailable",
    [
        driver_view(1, positioned_at=NOW - seconds(601)),
        driver_view(1, free_at=NOW + seconds(1)),
        replace(driver_view(1), state=driver_state(1, presence="offline")),
        replace(driver_view(1), state=driver_state(1, slots_used=frozenset({1}))),
        replace(driver_view(1), state=driver_state(1, enrolled=frozenset())),
        replace(driver_view(1), state=driver_state(1, vehicle=None)),
    ],
)
def test_only_drivers_who_could_take_it_are_the_audience(unavailable: DriverView) -> None:
    (decision,) = decide_staged([pending(1000)], drivers=[unavailable])
    assert isinstance(decision, Open)
    assert decision.audience == 0


def test_drivers_with_many_offers_on_the_screen_count_for_less() -> None:
    crowd = [driver_view(n) for n in range(1, 4)] + [driver_view(n, at_ring(1)) for n in range(4, 40)]
    first, second, third = decide_staged([pending(1000 + n) for n in range(3)], drivers=crowd)
    assert isinstance(first, Open)
    assert isinstance(third, Open)
    assert isinstance(second, Open)
    assert first.ring == 0
    assert third.ring >= second.ring >= 1


def test_it_widens_when_nobody_is_left_to_accept_and_not_before() -> None:
    helpers = [driver_view(n, at_ring(2)) for n in range(1, 9)]
    offer = opened()
    assert decide_staged([pending(1000)], [offer], helpers, now=NOW + seconds(11)) == []
    (decision,) = decide_staged([pending(1000)], [offer], helpers, now=NOW + seconds(12))
    assert isinstance(decision, Widen)
    assert (decision.ring, decision.audience) == (2, 8)
    assert set(decision.cells) == set(cells.disk(offer.site_cell, 2))
    crowd = [driver_view(n) for n in range(10, 14)]
    assert decide_staged([pending(1000)], [offer], crowd, now=NOW + seconds(12)) == []
    tired = replace(offer, declined_by=frozenset(driver.driver_id for driver in crowd))
    assert decide_staged([pending(1000)], [tired], crowd, now=NOW + seconds(12)) != []


def test_the_offer_itself_is_not_counted_as_its_own_rival() -> None:
    near_by, further = driver_view(1), driver_view(2, at_ring(1), acceptance=1.0)
    (decision,) = decide_staged([pending(1000)], [opened()], [near_by, further], now=NOW + seconds(12))
    assert isinstance(decision, Widen)
    assert (decision.ring, decision.audience) == (1, 2)


def test_offers_end_in_time_and_come_back() -> None:
    offer = opened()
    assert decide_staged([pending(1000)], [offer], now=offer.valid_until) != [Expire(uid(1))]
    after = offer.valid_until + seconds(0.001)
    assert decide_staged([pending(1000)], [offer], now=after) == [Expire(uid(1))]
    past = {uid(1000): DeliveryHistory(1, 3, after, OfferStatus.EXPIRED)}
    assert decide_staged([pending(1000)], history=past, now=after + seconds(4.9)) == []
    crowd = [driver_view(n, positioned_at=after) for n in range(1, 9)]
    (decision,) = decide_staged([pending(1000)], drivers=crowd, history=past, now=after + seconds(5))
    assert isinstance(decision, Open)
    assert decision.ring == 4, "one ring further than last time, however many are near"


def test_a_forfeited_delivery_is_offered_at_once_but_not_to_that_driver() -> None:
    past = {uid(1000): DeliveryHistory(1, 0, NOW, OfferStatus.FORFEITED, frozenset({uid(1)}))}
    (decision,) = decide_staged([pending(1000)], drivers=[driver_view(1), driver_view(2)], history=past)
    assert isinstance(decision, Open)
    assert decision.excluded == {uid(1)}
    assert decision.audience == 1


def test_withdrawn_by_someone_who_knows() -> None:
    offer = opened(withdraw_reason="merchant_cancelled")
    assert decide_staged(offers=[offer]) == [Withdraw(uid(1), "merchant_cancelled")]


@pytest.mark.parametrize(
    ("changes", "opens"),
    [
        ({"pickup_ready_at": NOW + seconds(2700)}, True),
        ({"pickup_ready_at": NOW + seconds(2701)}, False),
        ({"pickup_deadline_at": NOW}, False),
        ({"pickup_deadline_at": NOW + seconds(1)}, True),
    ],
)
def test_when_a_delivery_may_be_offered(changes: dict[str, object], opens: bool) -> None:
    assert bool(decide_staged([pending(1000, **changes)])) is opens


def test_the_most_urgent_come_first_and_the_tick_stays_short() -> None:
    deliveries = [pending(1000 + n, pickup_ready_at=NOW - seconds(n)) for n in range(150)]
    decisions = decide_staged(deliveries)
    assert [decision.delivery_ids[0].int for decision in decisions] == list(range(1149, 1049, -1))
