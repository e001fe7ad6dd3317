"""What goes wrong on a route, as pure steps: whatever happens in whatever order, the tables hold and an end is near."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexlive.domain.actors import ActorType
from flexlive.domain.deliveries import UndeliverableAction, can
from flexlive.domain.errors import ErrorCode
from flexlive.domain.incidents import FOR_OPERATORS, INCIDENT_REASONS, Resolution, decide, fallback
from flexlive.domain.incidents import on_resolve as resolve
from flexlive.domain.markets import MarketPolicy
from flexlive.domain.reasons import ReasonCode
from flexlive.domain.routes import (
    StepRefused,
    on_cancel,
    on_check_in,
    on_deliver,
    on_forfeit,
    on_pickup_confirm,
)
from flexlive.domain.stops import RouteStatus
from tests.unit.domain.builders import uid
from tests.unit.domain.route_world import STORES, D, K, R, Route, on_the_road


def test_back_to_its_store_at_the_end_while_the_next_customer_gets_theirs() -> None:
    route = on_the_road([[1, 2]])
    route.incident(1, R.RETURN_TO_PICKUP)
    assert list(route.statuses.values()) == [D.ENROUTE_TO_RETURN, D.ENROUTE_TO_DROPOFF]
    assert [stop.kind for stop in route.open()] == [K.DOOR, K.RETURN]
    route.drive_on()
    assert list(route.statuses.values()) == [D.RETURNED, D.DELIVERED]
    assert route.ended is RouteStatus.COMPLETED


def test_what_goes_back_to_one_store_goes_back_together() -> None:
    route = on_the_road([[1, 2], [3]])
    for number in (1, 3, 2):
        route.incident(number, R.RETURN_TO_PICKUP)
    returns = {stop.store_id: stop.delivery_ids for stop in route.open() if stop.kind is K.RETURN}
    assert returns == {uid(STORES): (uid(1), uid(2)), uid(STORES + 1): (uid(3),)}


def test_another_try_waits_until_its_door_is_next_and_comes_before_what_goes_back() -> None:
    route = on_the_road([[1, 2, 3]])
    route.incident(1, None)
    route.incident(2, R.RETURN_TO_PICKUP)
    route.resolve(1, R.RETRY)
    assert list(route.statuses.values()) == [D.UNDELIVERABLE, D.ENROUTE_TO_RETURN, D.ENROUTE_TO_DROPOFF]
    assert [stop.kind for stop in route.open()] == [K.DOOR, K.DOOR, K.RETURN]
    route.apply(on_check_in(route.stops, route.stop(K.DOOR), route.statuses))
    route.apply(on_deliver(route.stops, uid(3), route.statuses))
    assert route.statuses[uid(1)] is D.ENROUTE_TO_DROPOFF
    route.drive_on()
    assert list(route.statuses.values()) == [D.DELIVERED, D.RETURNED, D.DELIVERED]


def test_a_try_that_was_agreed_to_can_be_taken_back() -> None:
    route = on_the_road([[1, 2]])
    route.incident(1, None)
    route.resolve(1, R.RETRY)
    route.resolve(1, R.DISPOSE)
    assert [stop.delivery_ids for stop in route.open()] == [(uid(2),)]


def test_left_at_the_door_by_hand() -> None:
    route = on_the_road([[1]])
    route.incident(1, R.LEAVE_AT_DOOR)
    assert route.statuses[uid(1)] is D.UNDELIVERABLE
    route.apply(on_deliver(route.stops, uid(1), route.statuses))
    assert route.statuses[uid(1)] is D.DELIVERED
    assert route.ended is RouteStatus.COMPLETED


def test_lost_wherever_a_driver_holds_it_and_nowhere_else() -> None:
    route = on_the_road([[1]])
    route.resolve(1, R.LOST)
    assert route.ended is RouteStatus.COMPLETED
    waiting = Route([[1]])
    refused = resolve(waiting.stops, uid(1), waiting.statuses, R.LOST, store_id=uid(STORES))
    assert isinstance(refused, StepRefused)
    assert (refused.code, refused.current) == (ErrorCode.ILLEGAL_TRANSITION, D.CONFIRMED)


def test_giving_back_all_or_what_is_not_in_the_car() -> None:
    route = Route([[1], [2]])
    step = route.apply(on_forfeit(route.stops, route.statuses))
    assert step.ended is RouteStatus.FORFEITED
    assert set(route.seen.values()) == {D.CREATED}
    route = Route([[1], [2]])
    route.apply(on_check_in(route.stops, route.stop(K.SITE), route.statuses))
    route.apply(on_pickup_confirm(route.stops, route.stop(K.STORE), route.statuses))
    step = route.apply(on_forfeit(route.stops, route.statuses))
    assert step.ended is None
    assert route.seen == {uid(1): D.ENROUTE_TO_DROPOFF, uid(2): D.CREATED}
    refused = on_forfeit(route.stops, route.statuses)
    assert isinstance(refused, StepRefused)
    assert refused.current == D.ENROUTE_TO_DROPOFF
    unknown = on_forfeit(route.stops, route.statuses, [uid(77)])
    assert isinstance(unknown, StepRefused)


def test_the_last_order_called_off_ends_the_route() -> None:
    route = Route([[1], [2]])
    route.apply(on_cancel(route.stops, uid(1), route.statuses))
    assert route.ended is None
    route.apply(on_cancel(route.stops, uid(2), route.statuses))
    assert route.ended is RouteStatus.CANCELLED
    for known, code in ((uid(2), ErrorCode.ILLEGAL_TRANSITION), (uid(7), ErrorCode.NOT_FOUND)):
        refused = on_cancel(route.stops, known, route.statuses)
        assert isinstance(refused, StepRefused)
        assert refused.code is code


ACTION, POLICY = UndeliverableAction, MarketPolicy(delivery_attempts_max=2)


@pytest.mark.parametrize(
    ("reason", "wish", "attempts", "then"),
    [
        (ReasonCode.CUSTOMER_UNAVAILABLE, ACTION.RETURN_TO_PICKUP, 1, R.RETRY),
        (ReasonCode.CUSTOMER_UNAVAILABLE, ACTION.RETURN_TO_PICKUP, 2, R.RETURN_TO_PICKUP),
        (ReasonCode.CUSTOMER_UNAVAILABLE, ACTION.LEAVE_AT_DOOR, 1, R.LEAVE_AT_DOOR),
        (ReasonCode.CUSTOMER_UNAVAILABLE, ACTION.DISPOSE, 2, R.DISPOSE),
        (ReasonCode.CUSTOMER_REFUSED, ACTION.LEAVE_AT_DOOR, 1, R.RETURN_TO_PICKUP),
        (ReasonCode.CUSTOMER_REFUSED, ACTION.DISPOSE, 1, R.DISPOSE),
        (ReasonCode.PACKAGE_DAMAGED, ACTION.RETURN_TO_PICKUP, 1, R.RETURN_TO_PICKUP),
        (ReasonCode.VEHICLE_PROBLEM, ACTION.RETURN_TO_PICKUP, 1, None),
        (ReasonCode.ADDRESS_PROBLEM, ACTION.LEAVE_AT_DOOR, 1, None),
    ],
)
def test_what_follows_from_reason_and_wish(
    reason: ReasonCode, wish: UndeliverableAction, attempts: int, then: Resolution | None
) -> None:
    assert decide(reason, wish, attempts, POLICY) is then


@given(st.sampled_from(sorted(INCIDENT_REASONS)), st.sampled_from(ACTION), st.integers(1, 5))
def test_every_incident_has_an_answer_and_none_leaves_wine_at_a_door(
    reason: ReasonCode, wish: UndeliverableAction, attempts: int
) -> None:
    decision = decide(reason, wish, attempts, POLICY, must_be_attended=True)
    assert decision is not R.LEAVE_AT_DOOR
    assert (decision is None) == (reason in FOR_OPERATORS)
    later = fallback(wish)
    target = {R.RETURN_TO_PICKUP: D.ENROUTE_TO_RETURN, R.DISPOSE: D.DISPOSED}[later]
    assert can(D.UNDELIVERABLE, target, ActorType.SYSTEM)
