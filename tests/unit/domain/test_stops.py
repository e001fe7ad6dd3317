from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexlive.domain.door_order import PERMUTED_DOORS_MAX, order_doors, path_m
from flexlive.domain.geography import Point
from flexlive.domain.routes import PlanDelivery, PlanSite, PlanStore, plan_stops
from flexlive.domain.stops import STOP_ENDED, StopKind, StopState, StopStatus, next_stop
from tests.unit.domain.builders import FASHION_SHOW, uid

near = st.builds(
    lambda north, east: Point(FASHION_SHOW.lat + north, FASHION_SHOW.lon + east),
    st.floats(-0.1, 0.1),
    st.floats(-0.1, 0.1),
)
SITE = PlanSite(uid(1), FASHION_SHOW, 150)


@given(st.lists(near, max_size=PERMUTED_DOORS_MAX))
def test_few_doors_are_visited_by_the_shortest_path(doors: list[Point]) -> None:
    order = order_doors(FASHION_SHOW, doors)
    assert sorted(order) == list(range(len(doors)))
    shortest = min(path_m(FASHION_SHOW, each) for each in permutations(doors))
    assert path_m(FASHION_SHOW, [doors[i] for i in order]) == pytest.approx(shortest)


@given(st.lists(near, min_size=PERMUTED_DOORS_MAX + 1, max_size=14))
def test_many_doors_are_each_visited_once_and_not_longer_than_as_they_came(doors: list[Point]) -> None:
    order = order_doors(FASHION_SHOW, doors)
    assert sorted(order) == list(range(len(doors)))
    nearest_first = _nearest_first(doors)
    assert path_m(FASHION_SHOW, [doors[i] for i in order]) <= path_m(FASHION_SHOW, nearest_first) + 1e-3


def test_going_nearest_first_is_improved_upon() -> None:
    doors = [Point(FASHION_SHOW.lat + km / 111, FASHION_SHOW.lon) for km in (1, -1.5, 3, -5, 9, -12, 20)]
    ordered = [doors[i] for i in order_doors(FASHION_SHOW, doors)]
    assert path_m(FASHION_SHOW, ordered) < 0.9 * path_m(FASHION_SHOW, _nearest_first(doors))


@given(st.lists(st.tuples(st.integers(10, 13), near), min_size=1, max_size=5))
def test_a_plan_goes_through_site_stores_and_doors(orders: list[tuple[int, Point]]) -> None:
    deliveries = [PlanDelivery(uid(100 + n), uid(store), door) for n, (store, door) in enumerate(orders)]
    plan = plan_stops(deliveries, SITE, [PlanStore(uid(n), "", str(n)) for n in range(10, 14)])
    everything = {delivery.delivery_id for delivery in deliveries}
    assert [stop.sequence for stop in plan] == list(range(1, len(plan) + 1))
    kinds = [stop.kind for stop in plan]
    stores = len({store for store, _ in orders})
    assert kinds == [StopKind.SITE, *[StopKind.STORE] * stores, *[StopKind.DOOR] * len(orders)]
    assert set(plan[0].delivery_ids) == everything
    for kind in (StopKind.STORE, StopKind.DOOR):
        visited = [each for stop in plan if stop.kind is kind for each in stop.delivery_ids]
        assert sorted(visited) == sorted(everything)
    assert all(len(stop.delivery_ids) == 1 for stop in plan if stop.kind is StopKind.DOOR)


def test_stores_are_walked_by_floor_and_unit_as_people_count() -> None:
    stores = [PlanStore(uid(1), "2", "1"), PlanStore(uid(2), "1", "12"), PlanStore(uid(3), "1", "9"), PlanStore(uid(4))]
    deliveries = [PlanDelivery(uid(100 + n), uid(n), FASHION_SHOW) for n in range(1, 4)]
    plan = plan_stops(deliveries, SITE, stores)
    assert [stop.store_id for stop in plan if stop.kind is StopKind.STORE] == [uid(3), uid(2), uid(1)]


@pytest.mark.parametrize("deliveries", [[], [PlanDelivery(uid(100), uid(77), FASHION_SHOW)]])
def test_no_plan_without_deliveries_or_their_store(deliveries: list[PlanDelivery]) -> None:
    with pytest.raises(ValueError, match="store"):
        plan_stops(deliveries, SITE, [PlanStore(uid(1))])


@given(st.lists(st.sampled_from(StopStatus), max_size=6), st.randoms(use_true_random=False))
def test_the_next_stop_is_the_first_that_has_not_ended(statuses: list[StopStatus], random) -> None:
    stops = [StopState(uid(n), n, StopKind.DOOR, status, (uid(n),)) for n, status in enumerate(statuses, 1)]
    expected = next((stop for stop in stops if stop.status not in STOP_ENDED), None)
    random.shuffle(stops)
    assert next_stop(stops) == expected


def _nearest_first(doors: list[Point]) -> list[Point]:
    left, path = list(doors), [FASHION_SHOW]
    while left:
        path.append(min(left, key=lambda door: path_m(path[-1], [door])))
        left.remove(path[-1])
    return path[1:]
