from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexlive.domain.actors import ActorType
from flexlive.domain.deliveries import TERMINAL, DeliveryStatus, can
from flexlive.domain.errors import ErrorCode
from flexlive.domain.incidents import on_incident
from flexlive.domain.routes import (
    Step,
    StepRefused,
    on_check_in,
    on_deliver,
    on_depart,
    on_pickup_confirm,
    on_statuses_changed,
)
from flexlive.domain.stops import STOP_TRANSITIONS, RouteStatus, StopKind, StopState, StopStatus, next_stop
from tests.unit.domain.builders import uid

D, K, S = DeliveryStatus, StopKind, StopStatus


class Route:
    """Applies steps as the use cases do, checking each against the tables."""

    def __init__(self, stores: list[list[int]]) -> None:
        ids = [uid(number) for store in stores for number in store]
        plan: list[tuple[StopKind, list[UUID]]] = [(K.SITE, ids)]
        plan += [(K.STORE, [uid(number) for number in store]) for store in stores]
        plan += [(K.DOOR, [each]) for each in ids]
        self.stops = [StopState(uid(1000 + n), n, kind, S.PENDING, tuple(of)) for n, (kind, of) in enumerate(plan, 1)]
        self.statuses = dict.fromkeys(ids, D.CONFIRMED)
        self.completed = False

    def apply(self, step: Step | StepRefused) -> Step:
        assert isinstance(step, Step), step
        for move in step.transitions:
            assert self.statuses[move.delivery_id] is move.from_status
            assert can(move.from_status, move.to_status, ActorType.DRIVER)
            self.statuses[move.delivery_id] = move.to_status
        for change in step.stops:
            index = next(i for i, stop in enumerate(self.stops) if stop.stop_id == change.stop_id)
            assert (self.stops[index].status, change.status) in STOP_TRANSITIONS
            self.stops[index] = replace(self.stops[index], status=change.status)
        assert not (self.completed and (step.transitions or step.stops or step.added))
        self.completed = self.completed or step.ended is not None
        self.check()
        return step

    def check(self) -> None:
        """Only the customer whose door is next may see the driver."""
        seeing = {
            each for each, status in self.statuses.items() if status in (D.ENROUTE_TO_DROPOFF, D.ARRIVED_AT_DROPOFF)
        }
        following = next_stop(self.stops)
        assert seeing <= (set(following.delivery_ids) if following is not None and following.kind is K.DOOR else set())

    def stop(self, kind: StopKind, index: int = 0) -> UUID:
        return [stop.stop_id for stop in self.stops if stop.kind is kind][index]


def at_the_counter(stores: list[list[int]]) -> Route:
    route = Route(stores)
    route.apply(on_depart(route.stops, route.stop(K.SITE), route.statuses))
    route.apply(on_check_in(route.stops, route.stop(K.SITE), route.statuses))
    return route


def test_one_delivery_from_mall_to_door() -> None:
    route = Route([[1]])
    site, store, door = (stop.stop_id for stop in route.stops)
    step = route.apply(on_depart(route.stops, site, route.statuses))
    assert (route.statuses[uid(1)], step.departed_stop_id) == (D.ENROUTE_TO_PICKUP, site)
    route.apply(on_check_in(route.stops, site, route.statuses))
    assert route.statuses[uid(1)] is D.ARRIVED_AT_PICKUP
    route.apply(on_pickup_confirm(route.stops, store, route.statuses))
    assert route.statuses[uid(1)] is D.ENROUTE_TO_DROPOFF
    assert route.apply(on_depart(route.stops, door, route.statuses)).departed_stop_id == door
    route.apply(on_check_in(route.stops, door, route.statuses))
    assert route.statuses[uid(1)] is D.ARRIVED_AT_DROPOFF
    step = route.apply(on_deliver(route.stops, uid(1), route.statuses))
    assert route.statuses[uid(1)] is D.DELIVERED
    assert step.ended is RouteStatus.COMPLETED


def test_in_a_bundle_only_the_next_door_is_enroute() -> None:
    route = at_the_counter([[1, 2], [3]])
    route.apply(on_pickup_confirm(route.stops, route.stop(K.STORE, 0), route.statuses))
    assert set(route.statuses.values()) == {D.PICKED_UP, D.ARRIVED_AT_PICKUP}
    route.apply(on_pickup_confirm(route.stops, route.stop(K.STORE, 1), route.statuses))
    assert list(route.statuses.values()) == [D.ENROUTE_TO_DROPOFF, D.PICKED_UP, D.PICKED_UP]
    route.apply(on_check_in(route.stops, route.stop(K.DOOR, 0), route.statuses))
    route.apply(on_deliver(route.stops, uid(1), route.statuses))
    assert list(route.statuses.values()) == [D.DELIVERED, D.ENROUTE_TO_DROPOFF, D.PICKED_UP]
    assert not route.completed


def test_counters_may_be_visited_in_any_order() -> None:
    route = at_the_counter([[1], [2]])
    second = route.stop(K.STORE, 1)
    route.apply(on_depart(route.stops, second, route.statuses))
    route.apply(on_check_in(route.stops, second, route.statuses))
    route.apply(on_pickup_confirm(route.stops, second, route.statuses))
    assert list(route.statuses.values()) == [D.ARRIVED_AT_PICKUP, D.PICKED_UP]


def test_checking_in_without_having_set_off_walks_both_rows() -> None:
    route = Route([[1]])
    step = route.apply(on_check_in(route.stops, route.stop(K.SITE), route.statuses))
    assert [move.to_status for move in step.transitions] == [D.ENROUTE_TO_PICKUP, D.ARRIVED_AT_PICKUP]


def test_late_and_repeated_actions_change_nothing() -> None:
    route = at_the_counter([[1]])
    site = route.stop(K.SITE)
    assert on_depart(route.stops, site, route.statuses) == Step()
    assert on_check_in(route.stops, site, route.statuses) == Step()


@pytest.mark.parametrize("kind", [K.STORE, K.DOOR])
def test_nothing_comes_before_the_site(kind: StopKind) -> None:
    route = Route([[1]])
    for action in (on_depart, on_check_in):
        refusal = action(route.stops, route.stop(kind), route.statuses)
        assert isinstance(refusal, StepRefused)
        assert refusal.code is ErrorCode.ILLEGAL_TRANSITION
    refusal = on_pickup_confirm(route.stops, route.stop(K.STORE), route.statuses)
    assert refusal == StepRefused(ErrorCode.ILLEGAL_TRANSITION, "nothing to pick up at this stop", D.CONFIRMED)


def test_a_door_out_of_order_is_refused() -> None:
    route = at_the_counter([[1, 2]])
    route.apply(on_pickup_confirm(route.stops, route.stop(K.STORE), route.statuses))
    for action in (on_depart, on_check_in):
        refusal = action(route.stops, route.stop(K.DOOR, 1), route.statuses)
        assert isinstance(refusal, StepRefused)
        assert refusal.code is ErrorCode.ILLEGAL_TRANSITION


def test_delivering_needs_the_door() -> None:
    route = at_the_counter([[1]])
    route.apply(on_pickup_confirm(route.stops, route.stop(K.STORE), route.statuses))
    refusal = on_deliver(route.stops, uid(1), route.statuses)
    assert isinstance(refusal, StepRefused)
    assert (refusal.code, refusal.current) == (ErrorCode.ILLEGAL_TRANSITION, D.ENROUTE_TO_DROPOFF)


def test_strange_ids_are_not_found() -> None:
    route = Route([[1]])
    refusals = [action(route.stops, uid(5), route.statuses) for action in (on_depart, on_check_in, on_pickup_confirm)]
    refusals.append(on_deliver(route.stops, uid(5), route.statuses))
    assert {refusal.code for refusal in refusals if isinstance(refusal, StepRefused)} == {ErrorCode.NOT_FOUND}
    assert len(refusals) == 4


def test_a_cancelled_delivery_leaves_no_stop_to_drive_to() -> None:
    route = at_the_counter([[1], [2]])
    route.apply(on_pickup_confirm(route.stops, route.stop(K.STORE, 0), route.statuses))
    route.statuses[uid(2)] = D.CANCELLED
    step = route.apply(on_statuses_changed(route.stops, route.statuses))
    assert {change.status for change in step.stops} == {S.SKIPPED}
    assert route.statuses[uid(1)] is D.ENROUTE_TO_DROPOFF
    assert step.ended is None


def test_a_delivery_that_left_the_route_has_no_work_on_it() -> None:
    route = Route([[1]])
    step = on_statuses_changed(route.stops, {})
    assert isinstance(step, Step)
    assert len(step.stops) == 3
    assert step.ended is RouteStatus.CANCELLED


def test_a_route_with_something_undeliverable_on_board_is_not_over() -> None:
    route = at_the_counter([[1]])
    route.apply(on_pickup_confirm(route.stops, route.stop(K.STORE), route.statuses))
    route.apply(on_incident(route.stops, uid(1), route.statuses, None, store_id=uid(900)))
    assert route.statuses[uid(1)] is D.UNDELIVERABLE
    assert on_statuses_changed(route.stops, route.statuses) == Step()


shapes = st.lists(st.integers(1, 3), min_size=1, max_size=3)


@given(shapes, st.data())
def test_random_actions_keep_to_the_tables_and_a_diligent_driver_ends_the_route(sizes: list[int], data) -> None:
    numbers = iter(range(1, 100))
    route = Route([[next(numbers) for _ in range(size)] for size in sizes])
    for _ in range(data.draw(st.integers(0, 25))):
        action = data.draw(st.sampled_from([on_depart, on_check_in, on_pickup_confirm, on_deliver, "cancel"]))
        if action == "cancel":
            waiting = [each for each, status in route.statuses.items() if can(status, D.CANCELLED, ActorType.MERCHANT)]
            if waiting:
                route.statuses[data.draw(st.sampled_from(waiting))] = D.CANCELLED
                route.apply(on_statuses_changed(route.stops, route.statuses))
            continue
        known = list(route.statuses) if action is on_deliver else [stop.stop_id for stop in route.stops]
        step = action(route.stops, data.draw(st.sampled_from(known)), route.statuses)
        if isinstance(step, Step):
            route.apply(step)
    while (stop := next_stop(route.stops)) is not None:
        route.apply(on_check_in(route.stops, stop.stop_id, route.statuses))
        if stop.kind is K.STORE:
            route.apply(on_pickup_confirm(route.stops, stop.stop_id, route.statuses))
        elif stop.kind is K.DOOR:
            route.apply(on_deliver(route.stops, stop.delivery_ids[0], route.statuses))
    assert route.completed
    assert set(route.statuses.values()) <= TERMINAL
