"""Laws of bundling over random counters: nobody is lost, nobody is worse off, nothing is put together that is apart."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexlive.domain.allocation.bundles import Bundle, bundles, fits, late_seconds
from flexlive.domain.allocation.policies import POLICIES
from flexlive.domain.allocation.types import DeliveryHistory, DriverView, History, Open, PendingDelivery
from flexlive.domain.drivers import VEHICLE_DEFAULTS, Vehicle, VehicleKind
from flexlive.domain.eligibility import entitled
from flexlive.domain.geography import Point
from flexlive.domain.markets import MarketPolicy
from flexlive.domain.offers import OfferStatus
from tests.unit.domain.builders import FASHION_SHOW, NOW, driver_state, driver_view, pending, seconds, uid

CAR = VEHICLE_DEFAULTS[VehicleKind.CAR]
BIKE = VEHICLE_DEFAULTS[VehicleKind.BIKE]
MINUTES = st.integers(-60, 120).map(lambda minutes: NOW + timedelta(minutes=minutes))
doors = st.builds(
    lambda north, east: Point(FASHION_SHOW.lat + north, FASHION_SHOW.lon + east),
    st.floats(-0.1, 0.1),
    st.floats(-0.1, 0.1),
)


@st.composite
def waiting(draw: st.DrawFn) -> list[PendingDelivery]:
    return [
        pending(
            n,
            site_id=uid(9000 + draw(st.integers(0, 1))),
            offer_type=draw(st.sampled_from(["retail_delivery", "groceries"])),
            pickup_ready_at=draw(MINUTES),
            package_count=draw(st.integers(1, 14)),
            weight_grams=draw(st.integers(0, 90_000)),
            must_be_upright=draw(st.booleans()),
            door=draw(st.none() | doors),
            dropoff_deadline_at=draw(st.none() | MINUTES),
            pilots=frozenset({uid(1)} if draw(st.booleans()) else ()),
        )
        for n in range(draw(st.integers(0, 7)))
    ]


@st.composite
def fleets(draw: st.DrawFn) -> list[DriverView]:
    vehicles = st.sampled_from([CAR, BIKE, Vehicle(60, 900_000, True), None])
    return [
        replace(driver_view(n), state=driver_state(n, vehicle=draw(vehicles), pilots=frozenset({uid(1)})))
        for n in range(100, 100 + draw(st.integers(0, 4)))
    ]


@st.composite
def pasts(draw: st.DrawFn) -> History:
    return {
        uid(n): DeliveryHistory(
            offers=1,
            last_ring=0,
            last_ended_at=NOW,
            last_status=draw(st.sampled_from([OfferStatus.EXPIRED, OfferStatus.FORFEITED])),
            refused_by=frozenset(uid(100 + i) for i in draw(st.sets(st.integers(0, 3)))),
            last_deliveries=draw(st.integers(1, 3)),
        )
        for n in draw(st.sets(st.integers(0, 6)))
    }


policies = st.builds(
    MarketPolicy,
    bundle_deliveries_max=st.integers(0, 4),
    bundle_ready_spread_seconds=st.sampled_from([0.0, 600.0, 3600.0]),
)


@settings(max_examples=150)
@given(policies, waiting(), fleets(), pasts())
def test_the_laws(
    policy: MarketPolicy, deliveries: list[PendingDelivery], fleet: list[DriverView], history: History
) -> None:
    made = bundles(NOW, policy, deliveries, fleet, history)
    assert sorted(each for bundle in made for each in bundle.delivery_ids) == [each.delivery_id for each in deliveries]
    firsts = [deliveries.index(bundle.deliveries[0]) for bundle in made]
    assert firsts == sorted(firsts), "the queue keeps its order"
    for bundle in made:
        if len(bundle.deliveries) > 1:
            _may_go_together(policy, bundle, history)
            _nobody_worse_off(policy, bundle, fleet, history)


def _may_go_together(policy: MarketPolicy, bundle: Bundle, history: History) -> None:
    assert len(bundle.deliveries) <= policy.bundle_deliveries_max
    assert len({(each.site_id, each.offer_type, each.pilots) for each in bundle.deliveries}) == 1
    ready = [max(NOW, each.pickup_ready_at) for each in bundle.deliveries]
    assert max(ready) - min(ready) <= seconds(policy.bundle_ready_spread_seconds)
    assert fits(bundle, CAR)
    for each in bundle.delivery_ids:
        unwanted = each in history and history[each].last_status is OfferStatus.EXPIRED
        assert not (unwanted and history[each].last_deliveries > 1), "what nobody wanted together goes apart"


def _nobody_worse_off(policy: MarketPolicy, bundle: Bundle, fleet: list[DriverView], history: History) -> None:
    together = late_seconds(NOW, policy, bundle.deliveries)
    for each in bundle.deliveries:
        alone = late_seconds(NOW, policy, [each])
        assert together.keys() >= alone.keys()
        assert all(by <= 0 for by in (together[key] for key in alone)) or any(by > 0 for by in alone.values())
        if _takers(Bundle((each,)), fleet, history):
            assert _takers(bundle, fleet, history), "somebody could have taken it alone"


def _takers(bundle: Bundle, fleet: list[DriverView], history: History) -> list[DriverView]:
    return [
        driver
        for driver in fleet
        if entitled(bundle, driver.state) is None
        and not any(driver.driver_id in history[each].refused_by for each in bundle.delivery_ids if each in history)
    ]


@pytest.mark.parametrize("policy_name", sorted(POLICIES))
def test_an_offer_of_several(policy_name: str) -> None:
    """Three of the mall and one of another site: the mall's go together, never valid past the earliest deadline."""
    mall = [pending(n, pickup_deadline_at=NOW + seconds(100 - n)) for n in (1, 2, 3)]
    other = pending(4, Point(36.0, -115.0), site_id=uid(9001))
    policy = MarketPolicy(bundle_deliveries_max=3)
    opened = POLICIES[policy_name](NOW, 1, policy, [*mall, other], [], [driver_view(1)], {})
    assert all(isinstance(each, Open) for each in opened)
    by_site = {each.site_id: each for each in opened if isinstance(each, Open)}
    assert set(by_site[uid(9000)].delivery_ids) == {uid(1), uid(2), uid(3)}
    assert by_site[uid(9000)].valid_until == NOW + seconds(97)
    assert by_site[uid(9001)].delivery_ids == (uid(4),)


def test_the_smallest_detour_goes_along() -> None:
    door, near, far = (Point(FASHION_SHOW.lat + north, FASHION_SHOW.lon) for north in (0.02, 0.021, -0.02))
    waiting = [pending(1, door=door), pending(2, door=far), pending(3, door=near)]
    made = bundles(NOW, MarketPolicy(bundle_deliveries_max=2), waiting, [], {})
    assert [bundle.delivery_ids for bundle in made] == [(uid(1), uid(3)), (uid(2),)]


def test_a_full_counter_is_bundled_quickly() -> None:
    """As many as one tick opens, all from one counter, none of which fits beside another."""
    crowd = [driver_view(n) for n in range(200)]
    full = [pending(1000 + n, package_count=11, door=FASHION_SHOW) for n in range(100)]
    policy = MarketPolicy(bundle_deliveries_max=6)
    began = perf_counter()
    assert len(bundles(NOW, policy, full, crowd, {})) == 100
    light = [replace(each, package_count=1, dropoff_deadline_at=NOW + seconds(9000)) for each in full]
    assert len(bundles(NOW, policy, light, crowd, {})) == 17
    assert perf_counter() - began < 2
