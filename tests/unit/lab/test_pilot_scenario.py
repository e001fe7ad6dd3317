"""The random play: seeded, spread over the malls, and possible."""

from __future__ import annotations

from uuid import UUID

from flexlive.domain.geography import Point, distance_m
from flexlive.lab.pilot_scenario import DOOR_METRES_MAX, DRIVER_METRES_MAX, pilot_scenario
from flexlive.lab.scenario import Mishap, Scenario
from flexlive.lab.world import World, WorldSite, WorldStore

SITES = {
    "chandler": Point(33.3011, -111.8988),
    "las-vegas": Point(36.1277, -115.1717),
    "tysons": Point(38.9177, -77.2222),
}


def world() -> World:
    sites = [
        WorldSite(market_id=market_id, site_id=UUID(int=n), name=market_id, place=place)
        for n, (market_id, place) in enumerate(SITES.items())
    ]
    stores = [
        WorldStore(
            market_id=site.market_id,
            site_id=site.site_id,
            store_id=UUID(int=100 + 10 * n + m),
            external_store_id=f"{site.market_id}-{m}",
            name=f"store {m}",
            merchant_id=UUID(int=900 + m),
            handoff_code="1234",
            api_key="k",
        )
        for n, site in enumerate(sites)
        for m in range(4)
    ]
    return World(sites=tuple(sites), stores=tuple(stores))


def play(seed: int = 7, orders: int = 60, run: str = "r") -> Scenario:
    return pilot_scenario(world(), drivers=31, orders=orders, seconds=30, scale=60, seed=seed, run=run)


def test_the_same_seed_plays_the_same() -> None:
    assert play() == play()
    assert play(seed=8) != play()


def test_two_runs_of_one_seed_never_share_an_order_number() -> None:
    first, second = ({o.external_delivery_id for o in play(run=run).orders} for run in ("a", "b"))
    assert len(first) == 60
    assert not first & second


def test_orders_come_within_the_ordering_phase_and_the_first_at_once() -> None:
    moments = [order.at_seconds for order in play().orders]
    assert moments == sorted(moments)
    assert moments[0] < 0.5
    assert moments[-1] <= 30


def test_every_mall_has_its_drivers_orders_and_own_stores() -> None:
    scenario = play()
    for driver in scenario.drivers:
        assert distance_m(driver.start, SITES[driver.market_id]) <= DRIVER_METRES_MAX * 1.01
    for order in scenario.orders:
        site = SITES[order.external_store_id.rsplit("-", 1)[0]]
        assert distance_m(order.door.place, site) <= DOOR_METRES_MAX
    assert {driver.market_id for driver in scenario.drivers} == set(SITES)
    assert min(o.prep_seconds for o in scenario.orders) >= 4 * 60 / 60


def test_no_orders_and_one_order_are_plays_too() -> None:
    assert play(orders=0).orders == ()
    assert len(play(orders=1).orders) == 1


def test_a_share_of_the_orders_goes_wrong_each_kind_in_turn_and_never_the_first() -> None:
    orders = pilot_scenario(
        world(), drivers=3, orders=40, seconds=10, scale=60, seed=4, run="r", mishap_share=0.35
    ).orders
    spoilt = [order for order in orders if order.mishap is not None]
    assert len(spoilt) == 14
    assert {order.mishap for order in spoilt} == set(Mishap)
    assert orders[0].mishap is None
    for order in spoilt:
        assert order.mishap is not Mishap.PARTIAL_PICKUP or order.packages > 1
        assert (order.undeliverable_action == "leave_at_door") == (order.mishap is Mishap.LEFT_AT_DOOR)
