from __future__ import annotations

import pytest

from flexlive.domain.drivers import DriverState, DriverStatus, Presence, Vehicle
from flexlive.domain.eligibility import Eligible, Ineligible, Reason, eligible, entitled
from flexlive.domain.offers import OfferState
from tests.unit.domain.builders import driver_state, offer_state

SMALL = Vehicle(packages_max=2, weight_grams_max=5_000, carries_upright=False)


@pytest.mark.parametrize(
    ("work", "reason"),
    [
        (offer_state(package_count=2, weight_grams=5_000), None),
        (offer_state(package_count=3), Reason.TOO_MANY_PACKAGES),
        (offer_state(weight_grams=5_001), Reason.TOO_HEAVY),
        (offer_state(must_be_upright=True), Reason.NOT_UPRIGHT),
    ],
)
def test_the_vehicle_decides_what_fits(work: OfferState, reason: Reason | None) -> None:
    assert entitled(work, driver_state(vehicle=SMALL)) is reason


@pytest.mark.parametrize(
    ("driver", "reason"),
    [
        (driver_state(status=DriverStatus.DEACTIVATED), Reason.NOT_ACTIVE),
        (driver_state(enrolled=frozenset({"grocery"})), Reason.NOT_ENROLLED),
        (driver_state(vehicle=None), Reason.NO_VEHICLE),
    ],
)
def test_who_is_never_shown_it(driver: DriverState, reason: Reason) -> None:
    assert entitled(offer_state(), driver) is reason
    assert eligible(offer_state(), driver) == Ineligible(reason)


def test_showing_does_not_ask_what_changes_by_the_minute() -> None:
    busy = driver_state(presence=Presence.OFFLINE, slots_used=frozenset({1}))
    assert entitled(offer_state(), busy) is None
    assert eligible(offer_state(), busy) == Ineligible(Reason.OFFLINE)


def test_winning_does() -> None:
    assert eligible(offer_state(), driver_state()) == Eligible(1)
    assert eligible(offer_state(), driver_state(), declined=True) == Ineligible(Reason.DECLINED)
    assert eligible(offer_state(), driver_state(slots_used=frozenset({1}))) == Ineligible(Reason.SLOTS_FULL)


@pytest.mark.parametrize(
    ("most", "used", "slot"), [(1, {2}, 1), (2, {1}, 2), (99, set(range(1, 9)), None), (0, set(), None)]
)
def test_slots_are_counted_from_one_to_the_limit(most: int, used: set[int], slot: int | None) -> None:
    assert driver_state(routes_active_max=most, slots_used=frozenset(used)).free_slot == slot
