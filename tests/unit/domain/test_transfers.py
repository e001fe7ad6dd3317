"""Packages that change cars, and every step in any order: the tables hold and an end is near."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from flexlive.domain.deliveries import CUSTODY, TERMINAL, DeliveryStatus
from flexlive.domain.incidents import Resolution
from flexlive.domain.incidents import on_incident as incident
from flexlive.domain.incidents import on_resolve as resolve
from flexlive.domain.returns import on_return_confirm
from flexlive.domain.routes import (
    Step,
    StepRefused,
    on_cancel,
    on_check_in,
    on_deliver,
    on_depart,
    on_forfeit,
    on_pickup_confirm,
    on_statuses_changed,
)
from flexlive.domain.stops import RouteStatus, StopState
from flexlive.domain.transfers import on_transfer_in, on_transfer_out
from tests.unit.domain.builders import uid
from tests.unit.domain.route_world import STORES, D, K, R, Route, S, on_the_road, take_over


def test_packages_change_cars_and_both_routes_make_sense() -> None:
    first = on_the_road([[1, 2], [3]])
    first.incident(3, R.RETURN_TO_PICKUP)
    first.incident(2, None)
    second = take_over(first, [uid(1), uid(2), uid(3)])
    assert first.ended is RouteStatus.CANCELLED
    assert second.statuses == {uid(1): D.ENROUTE_TO_DROPOFF, uid(2): D.PICKED_UP, uid(3): D.ENROUTE_TO_RETURN}
    second.drive_on()
    assert set(second.statuses.values()) == {D.DELIVERED, D.RETURNED}


def test_nothing_is_taken_over_that_nobody_holds_or_waits_for() -> None:
    route = Route([[1]])
    for step in (
        on_transfer_out(route.stops, [uid(1)], route.statuses),
        on_transfer_out(route.stops, [uid(7)], route.statuses),
        on_transfer_in(route.stops, route.stop(K.SITE), route.statuses, {}, doors=[], stores={}),
        on_return_confirm(route.stops, route.stop(K.SITE), route.statuses),
        incident(route.stops, uid(1), route.statuses, None, store_id=uid(STORES)),
    ):
        assert isinstance(step, StepRefused)


def test_a_transfer_called_off_leaves_the_second_driver_free() -> None:
    waiting = [StopState(uid(1), 1, K.HANDOVER, S.PENDING, (uid(9),))]
    assert on_statuses_changed(waiting, {}) == Step()
    step = on_statuses_changed([replace(waiting[0], delivery_ids=())], {})
    assert step.ended is RouteStatus.CANCELLED


def actions(
    route: Route, each: UUID, stop_id: UUID, decision: Resolution | None
) -> dict[str, Callable[[], Step | StepRefused]]:
    """What may be asked of a route, sensible or not."""
    store = route.stores[each]
    return {
        "depart": lambda: on_depart(route.stops, stop_id, route.statuses),
        "check_in": lambda: on_check_in(route.stops, stop_id, route.statuses),
        "pick_up": lambda: on_pickup_confirm(route.stops, stop_id, route.statuses),
        "deliver": lambda: on_deliver(route.stops, each, route.statuses),
        "incident": lambda: incident(route.stops, each, route.statuses, decision, store_id=store),
        "resolve": lambda: resolve(route.stops, each, route.statuses, decision or R.RETRY, store_id=store),
        "return": lambda: on_return_confirm(route.stops, stop_id, route.statuses),
        "forfeit": lambda: on_forfeit(route.stops, route.statuses, [each]),
        "cancel": lambda: on_cancel(route.stops, each, route.statuses),
    }


@given(st.lists(st.integers(1, 3), min_size=1, max_size=3), st.data())
def test_any_sequence_of_steps_keeps_the_tables_and_an_end_in_reach(sizes: list[int], data) -> None:
    numbers = iter(range(1, 100))
    route = Route([[next(numbers) for _ in range(size)] for size in sizes])
    everything = list(route.statuses)
    history: list[Route] = []
    for _ in range(data.draw(st.integers(0, 30))):
        if not route.statuses or route.ended is not None:
            break
        each = data.draw(st.sampled_from(sorted(route.statuses)))
        stop_id = data.draw(st.sampled_from([stop.stop_id for stop in route.open() or route.stops]))
        decision = data.draw(st.sampled_from([None, *R]))
        steps = actions(route, each, stop_id, decision)
        action = data.draw(st.sampled_from([*steps, "transfer"]))
        if action == "transfer":
            held = [one for one, at in route.statuses.items() if at in CUSTODY]
            if held:
                chosen = sorted(data.draw(st.sets(st.sampled_from(held), min_size=1)))
                second = take_over(route, chosen)
                history.append(route)
                assert not route.statuses.keys() & second.statuses.keys(), "in two hands"
                if route.ended is None:
                    route.drive_on()
                route = second
            continue
        step = steps[action]()
        if isinstance(step, Step):
            route.apply(step)
    if route.ended is None:
        route.drive_on()
    assert route.ended is not None
    ends: dict[UUID, DeliveryStatus] = {}
    for each in (*history, route):
        ends |= each.seen
    assert set(ends) == set(everything)
    assert set(ends.values()) <= TERMINAL | {D.CREATED}
