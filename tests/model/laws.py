"""What must hold after every command, whoever sent it. The transition table is the only thing known of the code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from flexlive.domain.actors import ActorType
from flexlive.domain.deliveries import (
    BEFORE_CUSTODY,
    CUSTODY,
    CUSTODY_TRANSFERS,
    TERMINAL,
    TRANSITIONS,
    DeliveryStatus,
)
from tests.model.observation import Observation

ROWS = {(row.from_status, row.to_status, actor) for row in TRANSITIONS for actor in row.actors}
TRANSFERS = {(row.from_status, row.to_status) for row in CUSTODY_TRANSFERS}
OWN_LEG = {DeliveryStatus.ENROUTE_TO_DROPOFF, DeliveryStatus.ARRIVED_AT_DROPOFF}
RECORDED = "delivery.late_command"


def check(before: Observation, after: Observation, actor: ActorType, actor_id: str | None, *, ok: bool) -> None:
    """actor: whose command it was; actor_id: of a driver, None where it does not matter. ok: what the answer said."""
    if not ok:
        assert after.state == before.state, ("refused, and yet something changed", _changes(before, after))
    for delivery_id, now in after.deliveries.items():
        was = before.deliveries.get(delivery_id)
        if was is not None:
            _walked(was, now, after, actor, ok=ok)
            if actor is ActorType.DRIVER and now["version"] != was["version"]:
                # A second driver who takes one over leaves the first with another door next.
                moved_up = now["status"] == DeliveryStatus.ENROUTE_TO_DROPOFF
                assert moved_up or actor_id in (was["driver_id"], now["driver_id"]), "another driver's delivery"
        _packages_agree(now)
    _own_legs(after)


def _walked(was: Mapping[str, Any], now: Mapping[str, Any], after: Observation, actor: ActorType, *, ok: bool) -> None:
    """From the status before to the status now by rows of the table, as the delivery's own stream tells it."""
    at, driver_id = DeliveryStatus(was["status"]), was["driver_id"]
    for event in after.events:
        if event["stream"] != f"delivery:{now['delivery_id']}" or event["kind"] == RECORDED:
            continue
        assert ok, ("refused, and yet told", event)
        assert event["actor_type"] == actor.value, ("told of somebody else", event)
        if event["status"] is None or event["status"] == at:
            driver_id = event["driver_id"] or driver_id
            continue
        to = DeliveryStatus(event["status"])
        passed_on = (at, to) in TRANSFERS and event["driver_id"] not in (None, driver_id)
        assert (at, to, actor) in ROWS or passed_on, f"no row {at} → {to} for {actor}"
        at, driver_id = to, event["driver_id"]
    assert at == now["status"], ("the stream and the row disagree", at, now["status"])
    assert was["status"] not in TERMINAL or now["status"] == was["status"], "the end is the end"


def _packages_agree(delivery: Mapping[str, Any]) -> None:
    status = delivery["status"]
    if status in BEFORE_CUSTODY or status == DeliveryStatus.CANCELLED:
        expected = {"store", "missing"}
    elif status in CUSTODY:
        expected = {"held", "missing"}
    else:
        expected = {status, "missing"}
    custodies = {package[1] for package in delivery["packages"]}
    assert custodies <= expected, (status, custodies)
    # Who takes it next has not looked at any of it yet.
    assert status != DeliveryStatus.CREATED or not any(package[2] for package in delivery["packages"]), (
        "scanned by whom"
    )


def _own_legs(after: Observation) -> None:
    """One customer at a time: no driver is on the way to two doors on one route."""
    legs = Counter(each["route_id"] for each in after.deliveries.values() if each["status"] in OWN_LEG)
    assert all(count == 1 for count in legs.values()), legs


def _changes(before: Observation, after: Observation) -> list[Any]:
    return [(a, b) for a, b in zip(before.state, after.state, strict=True) if a != b]
