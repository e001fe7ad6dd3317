from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexlive.domain.actors import ActorType
from flexlive.domain.deliveries import (
    BEFORE_CUSTODY,
    CUSTODY,
    CUSTODY_TRANSFERS,
    CUSTOMER_VISIBLE,
    TERMINAL,
    TRANSITIONS,
    DeliveryStatus,
    Guard,
    after_transfer,
    can,
    sources,
)

S, A = DeliveryStatus, ActorType
statuses = st.sampled_from(S)


def ways_on(status: DeliveryStatus, absent: ActorType) -> set[DeliveryStatus]:
    return {
        row.to_status
        for row in (*TRANSITIONS, *CUSTODY_TRANSFERS)
        if row.from_status is status and row.actors - {absent} and absent not in row.needs
    }


def reachable(status: DeliveryStatus, absent: ActorType) -> set[DeliveryStatus]:
    seen, frontier = {status}, [status]
    while frontier:
        for each in ways_on(frontier.pop(), absent) - seen:
            seen.add(each)
            frontier.append(each)
    return seen


@pytest.mark.parametrize("absent", ActorType)
@pytest.mark.parametrize("status", DeliveryStatus)
def test_no_status_is_a_trap_whoever_is_gone(status: DeliveryStatus, absent: ActorType) -> None:
    assert reachable(status, absent) & TERMINAL


@pytest.mark.parametrize("status", sorted(set(S) - {S.CREATED}))
def test_every_status_can_be_reached_without_ops_stepping_in_unless_it_is_theirs(status: DeliveryStatus) -> None:
    assert status in reachable(S.CREATED, A.OPS) | {S.LOST}


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_the_end_is_the_end(status: DeliveryStatus) -> None:
    assert [row for row in (*TRANSITIONS, *CUSTODY_TRANSFERS) if row.from_status is status] == []


def test_what_left_the_store_is_never_cancelled_and_what_did_not_is_never_lost() -> None:
    assert sources(S.CANCELLED) == BEFORE_CUSTODY
    assert sources(S.LOST) == CUSTODY
    assert set(S) == BEFORE_CUSTODY | CUSTODY | TERMINAL
    assert not BEFORE_CUSTODY & CUSTODY
    assert not TERMINAL & (BEFORE_CUSTODY | CUSTODY)


def test_custody_begins_at_the_counter_and_ends_in_a_terminal_status() -> None:
    for row in TRANSITIONS:
        if row.from_status in BEFORE_CUSTODY and row.to_status in CUSTODY:
            assert row.guard is Guard.SCANNED_AND_STORE_CODE
        if row.from_status in CUSTODY:
            assert row.to_status in CUSTODY | TERMINAL - {S.CANCELLED}


@given(statuses, statuses, st.sampled_from(A))
def test_can_and_sources_say_the_same(source: DeliveryStatus, target: DeliveryStatus, actor: ActorType) -> None:
    assert can(source, target, actor) == (source in sources(target, actor=actor))
    assert sources(target, actor=actor) <= sources(target)
    by_guard = [sources(target, actor=actor, guard=guard) for guard in Guard]
    assert frozenset().union(*by_guard) == sources(target, actor=actor)


@pytest.mark.parametrize(
    ("source", "target", "actor"),
    [
        (S.CREATED, S.CONFIRMED, A.MERCHANT),
        (S.CONFIRMED, S.ARRIVED_AT_PICKUP, A.DRIVER),
        (S.PICKED_UP, S.CANCELLED, A.OPS),
        (S.PICKED_UP, S.DELIVERED, A.DRIVER),
        (S.ENROUTE_TO_DROPOFF, S.DELIVERED, A.DRIVER),
        (S.ARRIVED_AT_DROPOFF, S.DELIVERED, A.CUSTOMER),
        (S.ENROUTE_TO_DROPOFF, S.PICKED_UP, A.DRIVER),
        (S.UNDELIVERABLE, S.ENROUTE_TO_DROPOFF, A.CUSTOMER),
        (S.CONFIRMED, S.CANCELLED, A.SYSTEM),
        (S.UNDELIVERABLE, S.LOST, A.DRIVER),
        (S.CONFIRMED, S.LOST, A.OPS),
        (S.DELIVERED, S.RETURNED, A.OPS),
    ],
)
def test_what_the_table_does_not_name_is_illegal(
    source: DeliveryStatus, target: DeliveryStatus, actor: ActorType
) -> None:
    assert not can(source, target, actor)


def test_the_usual_way() -> None:
    way = [S.CREATED, S.CONFIRMED, S.ENROUTE_TO_PICKUP, S.ARRIVED_AT_PICKUP, S.PICKED_UP, S.ENROUTE_TO_DROPOFF]
    way += [S.ARRIVED_AT_DROPOFF, S.DELIVERED]
    assert all(can(a, b, A.DRIVER) for a, b in pairwise(way))


def test_a_counterpart_who_is_gone_blocks_the_step_and_another_way_is_left() -> None:
    assert S.DELIVERED not in ways_on(S.ARRIVED_AT_DROPOFF, A.CUSTOMER)
    assert S.PICKED_UP not in ways_on(S.ARRIVED_AT_PICKUP, A.STORE)
    assert S.RETURNED not in ways_on(S.ARRIVED_AT_RETURN, A.STORE)


def test_custody_can_be_transferred_wherever_there_is_custody_and_only_by_ops_with_the_second_driver() -> None:
    assert {status for status in S if after_transfer(status) is not None} == CUSTODY
    assert all(row.actors == {A.OPS} and row.needs == {A.DRIVER} for row in CUSTODY_TRANSFERS)
    assert after_transfer(S.ARRIVED_AT_DROPOFF) is S.PICKED_UP
    assert after_transfer(S.UNDELIVERABLE) is S.PICKED_UP
    assert after_transfer(S.ARRIVED_AT_RETURN) is S.ENROUTE_TO_RETURN
    assert after_transfer(S.DELIVERED) is None


def test_a_late_pickup_never_moves_a_delivery_backwards() -> None:
    assert sources(S.PICKED_UP) == {S.ARRIVED_AT_PICKUP}


def test_the_customer_sees_every_ending() -> None:
    assert TERMINAL <= CUSTOMER_VISIBLE


def test_rows_are_unique() -> None:
    keys = [(row.from_status, row.to_status, row.guard) for row in TRANSITIONS]
    assert len(keys) == len(set(keys))
    assert all(row.actors for row in TRANSITIONS)
    assert {row.guard for row in (*TRANSITIONS, *CUSTODY_TRANSFERS)} == set(Guard)
