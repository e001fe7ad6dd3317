"""Whether a store may take an order: the terms as a row, the clock as an argument."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any, cast

import msgspec
import pytest

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.domain.sites import daily
from flexlive.protocol.merchant import CreateDelivery, PackageRequest
from flexlive.services.order_terms import Windows, judge
from flexlive.storage.pool import Record

# A Friday, 13:00 in Las Vegas.
NOW = datetime(2026, 11, 20, 21, 0, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SHOP_HOURS = msgspec.to_builtins(daily(time(10), time(21)))

TERMS: dict[str, Any] = {
    "store_hours": {name: value for name, value in SHOP_HOURS.items() if name != "holidays"},
    "holidays": [],
    "site_hours": SHOP_HOURS,
    "prep_seconds_default": 600,
    "carry_weight_grams_max": 20_000,
    "time_zone": "America/Los_Angeles",
    "currency": "USD",
    "shape": "on_demand",
    "promise_seconds": 5400,
    "cutoff_local": None,
    "window_end_local": None,
    "days_of_week": [1, 2, 3, 4, 5, 6, 7],
    "offer_type_active": True,
    "participation_active": True,
    "participation_from": NOW - timedelta(days=1),
    "participation_until": None,
    "pilot_killed": False,
}


def decide(terms: dict[str, Any] | None = None, now: datetime = NOW, scale: float = 1, **changes: Any) -> Windows:
    request = CreateDelivery(
        **{
            "external_delivery_id": "o",
            "external_store_id": "s",
            "service_level": "express",
            "dropoff_address": "1 Elm St",
            "dropoff_lat": 36.1,
            "dropoff_lon": -115.1,
            "contact_name": "Ana",
            "packages": (PackageRequest(),),
            **changes,
        }
    )
    return judge(cast("Record", {**TERMS, **(terms or {})}), request, now, scale)


def code(*args: Any, **changes: Any) -> ErrorCode:
    with pytest.raises(FlexliveError) as caught:
        decide(*args, **changes)
    return caught.value.code


def test_windows_follow_from_preparation_and_promise() -> None:
    assert decide() == Windows(NOW + 10 * MINUTE, None, None, NOW + 90 * MINUTE)


def test_a_faster_world_prepares_and_promises_faster() -> None:
    assert decide(scale=10) == Windows(NOW + MINUTE, None, None, NOW + 9 * MINUTE)


def test_the_merchants_own_times_are_kept_in_utc() -> None:
    las_vegas = NOW + 30 * MINUTE
    windows = decide(
        pickup_ready_at=las_vegas,
        pickup_deadline_at=NOW + 50 * MINUTE,
        dropoff_ready_at=NOW + 40 * MINUTE,
        dropoff_deadline_at=NOW + 2 * HOUR,
    )
    assert windows == Windows(las_vegas, NOW + 50 * MINUTE, NOW + 40 * MINUTE, NOW + 2 * HOUR)


def test_what_was_ready_a_little_ago_is_ready_now() -> None:
    assert decide(pickup_ready_at=NOW - 30 * MINUTE).pickup_ready_at == NOW
    assert code(pickup_ready_at=NOW - 2 * HOUR) is ErrorCode.PICKUP_WINDOW_INVALID


@pytest.mark.parametrize(
    "changes",
    [
        {"dropoff_deadline_at": NOW},
        {"dropoff_deadline_at": NOW + 5 * MINUTE},
        {"dropoff_deadline_at": NOW + timedelta(days=31)},
        {"pickup_deadline_at": NOW + 5 * MINUTE},
        {"pickup_deadline_at": NOW + 2 * HOUR},
        {"dropoff_ready_at": NOW + 2 * HOUR},
    ],
)
def test_times_out_of_order_are_refused(changes: dict[str, datetime]) -> None:
    assert code(**changes) is ErrorCode.PICKUP_WINDOW_INVALID


@pytest.mark.parametrize("hour", [-3, 8])
def test_express_needs_an_open_store(hour: int) -> None:
    assert code(now=NOW + hour * HOUR) is ErrorCode.MERCHANT_CLOSED if hour == 8 else True
    assert decide(now=NOW + 7 * HOUR).pickup_ready_at == NOW + 7 * HOUR + 10 * MINUTE


def test_express_needs_an_open_site_too() -> None:
    assert code({"site_hours": {}}) is ErrorCode.MERCHANT_CLOSED


def test_a_holiday_closes() -> None:
    assert code({"holidays": [{"day": "2026-11-20"}]}) is ErrorCode.MERCHANT_CLOSED


def test_waves_wait_for_the_opening() -> None:
    wave = {"shape": "wave", "promise_seconds": 8 * 3600, "cutoff_local": time(15)}
    before_opening = NOW - 4 * HOUR  # 09:00
    opening = NOW - 3 * HOUR
    windows = decide(wave, now=before_opening)
    assert windows.pickup_ready_at == opening + 10 * MINUTE
    assert code(wave, now=NOW + 3 * HOUR) is ErrorCode.CUTOFF_PASSED
    assert code({**wave, "days_of_week": [6, 7]}) is ErrorCode.OUTSIDE_HOURS


@pytest.mark.parametrize(
    "terms",
    [
        {"participation_active": None, "participation_from": None},
        {"participation_active": False},
        {"participation_from": NOW + MINUTE},
        {"participation_until": NOW},
        {"offer_type_active": False},
        {"offer_type_active": None},
    ],
)
def test_who_does_not_take_part_gets_no_order(terms: dict[str, Any]) -> None:
    assert code(terms) is ErrorCode.NOT_PARTICIPATING


def test_a_service_level_the_market_lacks_is_invalid() -> None:
    assert code({"shape": None, "promise_seconds": None}) is ErrorCode.INVALID
