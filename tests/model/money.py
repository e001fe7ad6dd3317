"""What a run's drivers are owed, worked out from what happened, to be compared with the ledger row by row."""

from __future__ import annotations

from collections import Counter
from math import floor

from flexlive.domain.deliveries import DeliveryStatus
from tests.model.laws import TRANSFERS
from tests.model.run import Run

Owed = Counter[tuple[str, str, str]]
"""Cents by delivery, driver and kind."""


def check(run: Run) -> None:
    """AssertionError unless the ledger says what the rules say, to the cent."""
    assert written(run) == owed(run)
    waits = [row["amount_cents"] for row in run.now.ledger if row["kind"] == "wait"]
    assert len(waits) == (run.waits if run.lane.policy.wait_free_seconds == 0 else 0)
    # No run takes long: a minute begun, seldom two.
    assert all(cents in (25, 50, 75) for cents in waits), waits


def owed(run: Run) -> Owed:
    """From the events of the deliveries, what each was worth when a driver got it, and the market's rules."""
    total: Owed = Counter()
    for order in run.orders:
        _owed_for(run, order.id, total)
    for delivery_id, driver_id, cents in run.adjusted:
        total[delivery_id, driver_id, "adjustment"] += cents
    return Counter({key: cents for key, cents in total.items() if cents})


def _owed_for(run: Run, delivery_id: str, total: Owed) -> None:
    delivery, terms = run.now.deliveries[delivery_id], iter(run.paid.get(delivery_id, ()))
    status, holder, base, distance = DeliveryStatus.CREATED, "", 0, 0
    for event in run.told:
        if event["stream"] != f"delivery:{delivery_id}" or event["status"] is None:
            continue
        to = DeliveryStatus(event["status"])
        passed_on = (status, to) in TRANSFERS and event["driver_id"] not in (None, holder)
        if passed_on:
            total[delivery_id, holder, "partial"] += _share(run, base + distance)
        if passed_on or (to is DeliveryStatus.CONFIRMED and status is DeliveryStatus.CREATED):
            holder, base, distance = next(terms)
        elif to != status:
            if to in (DeliveryStatus.DELIVERED, DeliveryStatus.RETURNED, DeliveryStatus.DISPOSED):
                total[delivery_id, holder, "base"] += base
                total[delivery_id, holder, "distance"] += distance
            if to is DeliveryStatus.DELIVERED:
                total[delivery_id, holder, "tip"] += delivery["tip_cents"]
            if to is DeliveryStatus.RETURNED:
                assert delivery["pay_return_cents"] > 0
                total[delivery_id, holder, "return"] += delivery["pay_return_cents"]
            if to is DeliveryStatus.CANCELLED and status is DeliveryStatus.ARRIVED_AT_PICKUP:
                total[delivery_id, holder, "partial"] += _share(run, base + distance)
        status = to
    assert next(terms, None) is None, "a driver got it and no event says so"


def _share(run: Run, cents: int) -> int:
    return floor(run.lane.policy.partial_pay_share * cents + 0.5)


def written(run: Run) -> Owed:
    """The ledger's sums, the waiting left out; each row names an event of its delivery, or the operator's."""
    told = {event["event_id"]: event["stream"] for event in run.told}
    total: Owed = Counter()
    for row in run.now.ledger:
        if row["kind"] != "adjustment":
            assert told[row["event_id"]] == f"delivery:{row['delivery_id']}", row
        if row["kind"] != "wait":
            total[row["delivery_id"], row["driver_id"], row["kind"]] += row["amount_cents"]
    return total
