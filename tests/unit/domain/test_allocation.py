"""Laws of every policy, and what `staged` adds to them, over random worlds played tick by tick."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.domain.builders import FASHION_SHOW, NOW, driver_state, driver_view, pending, seconds, uid

from flexlive.domain import cells
from flexlive.domain.allocation.acceptance import accept_probability, any_accepts
from flexlive.domain.allocation.policies import POLICIES
from flexlive.domain.allocation.types import (
    DeliveryHistory,
    DriverView,
    Expire,
    Open,
    OpenOfferView,
    PendingDelivery,
    Policy,
    Widen,
    Withdraw,
)
from flexlive.domain.geography import Point
from flexlive.domain.markets import MarketPolicy
from flexlive.domain.offers import OfferStatus

POLICY = MarketPolicy()
near = st.builds(
    lambda north, east: Point(FASHION_SHOW.lat + north, FASHION_SHOW.lon + east),
    st.floats(-0.2, 0.2),
    st.floats(-0.2, 0.2),
)
policies = st.sampled_from(sorted(POLICIES)).map(POLICIES.__getitem__)


@st.composite
def drivers_around(draw: st.DrawFn) -> list[DriverView]:
    spots = draw(st.lists(near, max_size=12))
    return [driver_view(n, spot, acceptance=draw(st.none() | st.floats(0, 1))) for n, spot in enumerate(spots, 1)]


@dataclass
class World:
    """Does what the dispatcher does with decisions, and asserts what must hold for each."""

    decide: Policy
    deliveries: list[PendingDelivery]
    drivers: list[DriverView]
    now: datetime = NOW
    offers: dict[UUID, OpenOfferView] = field(default_factory=dict)
    history: dict[UUID, DeliveryHistory] = field(default_factory=dict)
    refused: dict[UUID, set[UUID]] = field(default_factory=dict)

    def tick(self) -> None:
        decisions = self.decide(
            self.now, 7, POLICY, self.deliveries, list(self.offers.values()), self.drivers, self.history
        )
        again = self.decide(
            self.now, 8, POLICY, self.deliveries, list(self.offers.values()), self.drivers, self.history
        )
        assert decisions == again
        for decision in decisions:
            match decision:
                case Open():
                    self._open(decision)
                case Widen():
                    self._widen(decision)
                case Expire(offer_id):
                    assert self.now > self.offers[offer_id].valid_until
                    self.end(offer_id, OfferStatus.EXPIRED)
                case _:
                    raise AssertionError(decision)

    def _open(self, decision: Open) -> None:
        in_offers = {each for offer in self.offers.values() for each in offer.delivery_ids}
        (delivery_id,) = decision.delivery_ids
        delivery = next(each for each in self.deliveries if each.delivery_id == delivery_id)
        assert delivery_id not in in_offers, "never two offers for one delivery"
        assert self.now < decision.valid_until <= delivery.pickup_deadline_at
        assert decision.cells == cells.disk(delivery.site_cell, decision.ring)
        assert decision.ring <= max(POLICY.rings_max, POLICY.broadcast_rings)
        assert decision.excluded >= self.refused.get(delivery_id, set())
        offer_id = uid(10_000 + len(self.history) * 1000 + len(self.offers) + self.now.minute * 60 + self.now.second)
        while offer_id in self.offers:
            offer_id = uid(offer_id.int + 1)
        self.offers[offer_id] = OpenOfferView(
            offer_id=offer_id,
            delivery_ids=decision.delivery_ids,
            site=delivery.site,
            site_cell=delivery.site_cell,
            ring=decision.ring,
            cells=decision.cells,
            opened_at=self.now,
            widen_at=decision.widen_at,
            valid_until=decision.valid_until,
            offer_type=decision.offer_type,
        )

    def _widen(self, decision: Widen) -> None:
        offer = self.offers[decision.offer_id]
        assert offer.widen_at is not None
        assert offer.widen_at <= self.now <= offer.valid_until
        assert offer.ring < decision.ring <= POLICY.rings_max
        assert set(decision.cells) == set(offer.cells) | set(decision.cells_added)
        assert not set(offer.cells) & set(decision.cells_added)
        assert decision.cells_added
        self.offers[offer.offer_id] = replace(
            offer, ring=decision.ring, cells=decision.cells, widen_at=decision.widen_at
        )

    def end(self, offer_id: UUID, status: OfferStatus) -> None:
        offer = self.offers.pop(offer_id)
        for each in offer.delivery_ids:
            past = self.history.get(each)
            self.history[each] = DeliveryHistory(
                offers=1 + (past.offers if past else 0),
                last_ring=offer.ring,
                last_ended_at=self.now,
                last_status=status,
                refused_by=frozenset(self.refused.get(each, ())),
            )


@settings(max_examples=60)
@given(policies, st.lists(near, min_size=1, max_size=6), drivers_around(), st.data())
def test_no_policy_breaks_the_rules(decide: Policy, sites: list[Point], drivers: list[DriverView], data) -> None:
    deliveries = [
        pending(1000 + n, site, pickup_deadline_at=NOW + seconds(data.draw(st.integers(0, 400))))
        for n, site in enumerate(sites)
    ]
    world = World(decide, deliveries, drivers)
    for _ in range(data.draw(st.integers(1, 12))):
        world.tick()
        for offer_id in sorted(world.offers):
            fate = data.draw(st.sampled_from(["", "", "accepted", "forfeited"]))
            if fate:
                offer = world.offers[offer_id]
                for each in offer.delivery_ids:
                    if fate == "forfeited" and drivers:
                        world.refused.setdefault(each, set()).add(data.draw(st.sampled_from(drivers)).driver_id)
                world.end(offer_id, OfferStatus.FORFEITED if fate == "forfeited" else OfferStatus.ACCEPTED)
                if fate == "accepted":
                    world.deliveries = [each for each in world.deliveries if each.delivery_id not in offer.delivery_ids]
        world.now += timedelta(seconds=data.draw(st.integers(1, 60)))


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


def test_broadcast_takes_its_rings_whatever_the_density() -> None:
    crowd = [driver_view(n) for n in range(1, 20)]
    (decision,) = POLICIES["broadcast"](NOW, 1, POLICY, [pending(1000)], [], crowd, {})
    assert isinstance(decision, Open)
    assert (decision.ring, len(decision.cells), decision.widen_at) == (1, 7, None)


@given(st.floats(0, 100), st.floats(0, 100), st.none() | st.floats(0, 1))
def test_acceptance_falls_with_the_distance(km: float, more_km: float, learnt: float | None) -> None:
    here, there = accept_probability(km, POLICY, learnt), accept_probability(km + more_km, POLICY, learnt)
    assert 0 <= there <= here <= 1


@given(st.lists(st.floats(0, 1)))
def test_any_of_several_is_at_least_the_likeliest(probabilities: list[float]) -> None:
    assert max(probabilities, default=0) - 1e-9 <= any_accepts(probabilities) <= 1
