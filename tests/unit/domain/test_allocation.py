"""Laws of every policy, and what `staged` adds to them, over random worlds played tick by tick."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

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
)
from flexlive.domain.geography import Point
from flexlive.domain.markets import MarketPolicy
from flexlive.domain.offers import OfferStatus
from tests.unit.domain.builders import FASHION_SHOW, NOW, driver_view, pending, seconds, uid

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
    policy: MarketPolicy = POLICY
    now: datetime = NOW
    offers: dict[UUID, OpenOfferView] = field(default_factory=dict)
    history: dict[UUID, DeliveryHistory] = field(default_factory=dict)
    refused: dict[UUID, set[UUID]] = field(default_factory=dict)

    def tick(self) -> None:
        decisions = self.decide(
            self.now, 7, self.policy, self.deliveries, list(self.offers.values()), self.drivers, self.history
        )
        again = self.decide(
            self.now, 8, self.policy, self.deliveries, list(self.offers.values()), self.drivers, self.history
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
        assert 1 <= len(decision.delivery_ids) <= self.policy.bundle_deliveries_max
        for delivery_id in decision.delivery_ids:
            delivery = next(each for each in self.deliveries if each.delivery_id == delivery_id)
            assert delivery_id not in in_offers, "never two offers for one delivery"
            assert self.now < decision.valid_until <= delivery.pickup_deadline_at
            assert decision.site_id == delivery.site_id
            assert decision.cells == cells.disk(delivery.site_cell, decision.ring)
            assert decision.excluded >= self.refused.get(delivery_id, set())
        assert decision.ring <= max(POLICY.rings_max, POLICY.broadcast_rings)
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
                last_deliveries=len(offer.delivery_ids),
            )


@settings(max_examples=60)
@given(policies, st.lists(near, min_size=1, max_size=3), st.integers(1, 3), drivers_around(), st.data())
def test_no_policy_breaks_the_rules(
    decide: Policy, sites: list[Point], bundle_max: int, drivers: list[DriverView], data
) -> None:
    deliveries = [
        pending(
            1000 + n,
            sites[n % len(sites)],
            site_id=uid(9000 + n % len(sites)),
            pickup_deadline_at=NOW + seconds(data.draw(st.integers(0, 400))),
        )
        for n in range(data.draw(st.integers(1, 6)))
    ]
    world = World(decide, deliveries, drivers, MarketPolicy(bundle_deliveries_max=bundle_max))
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
