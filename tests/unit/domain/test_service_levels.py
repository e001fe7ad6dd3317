from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexlive.domain.errors import ErrorCode
from flexlive.domain.offers import OfferShape
from flexlive.domain.service_levels import Refused, ServiceLevel, ServiceLevelName, Window, promise, scaled
from flexlive.domain.sites import ALWAYS_OPEN, daily, is_open, zone
from tests.unit.domain.builders import instants

LAS_VEGAS, PHOENIX, NEW_YORK = "America/Los_Angeles", "America/Phoenix", "America/New_York"
MALL = daily(time(10), time(21))
EXPRESS = ServiceLevel(service_level=ServiceLevelName.EXPRESS, shape=OfferShape.ON_DEMAND, promise_seconds=3600)
SAME_DAY = ServiceLevel(
    service_level=ServiceLevelName.SAME_DAY,
    shape=OfferShape.WAVE,
    promise_seconds=12 * 3600,
    cutoff_local=time(18),
    window_end_local=time(21),
)
TWO_DAY = ServiceLevel(
    service_level=ServiceLevelName.TWO_DAY,
    shape=OfferShape.WAVE,
    promise_seconds=2 * 86_400,
    window_end_local=time(20),
)
zones = st.sampled_from([LAS_VEGAS, PHOENIX, NEW_YORK])


def local(time_zone: str, *fields: int) -> datetime:
    return datetime(*fields, tzinfo=zone(time_zone))  # type: ignore[misc, arg-type]


@given(st.sampled_from([EXPRESS, SAME_DAY, TWO_DAY]), instants, zones, st.integers(0, 7200))
def test_a_window_is_possible_and_the_store_is_open_when_it_begins(
    level: ServiceLevel, now: datetime, time_zone: str, prep: int
) -> None:
    window = promise(level, MALL, time_zone, now, prep_seconds=prep)
    if isinstance(window, Window):
        assert now <= window.ready_at < window.deadline_at
        assert is_open(MALL, time_zone, window.ready_at)
        assert window.deadline_at.tzinfo is UTC
        if level is SAME_DAY:
            wall = window.deadline_at.astimezone(zone(time_zone))
            assert wall.date() == now.astimezone(zone(time_zone)).date()
            assert wall.time() <= time(21)


@given(instants, zones)
def test_the_cutoff_is_read_from_the_clock_on_the_wall(now: datetime, time_zone: str) -> None:
    window = promise(SAME_DAY, ALWAYS_OPEN, time_zone, now)
    late = now.astimezone(zone(time_zone)).time() > time(18)
    assert (window == Refused(ErrorCode.CUTOFF_PASSED)) == late


@pytest.mark.parametrize(
    ("time_zone", "saturday", "sunday"),
    [(LAS_VEGAS, 5, 4), (NEW_YORK, 2, 1), (PHOENIX, 4, 4)],
)
def test_nine_in_the_evening_on_the_day_the_clocks_change(time_zone: str, saturday: int, sunday: int) -> None:
    before = promise(SAME_DAY, MALL, time_zone, local(time_zone, 2026, 3, 7, 12))
    after = promise(SAME_DAY, MALL, time_zone, local(time_zone, 2026, 3, 8, 12))
    assert isinstance(before, Window)
    assert isinstance(after, Window)
    assert before.deadline_at == datetime(2026, 3, 8, saturday, tzinfo=UTC)
    assert after.deadline_at == datetime(2026, 3, 9, sunday, tzinfo=UTC)


def test_an_hour_is_an_hour_while_the_clocks_are_set_back() -> None:
    now = datetime(2026, 11, 1, 5, 30, tzinfo=UTC).astimezone(zone(NEW_YORK))
    window = promise(EXPRESS, ALWAYS_OPEN, NEW_YORK, now)
    assert isinstance(window, Window)
    assert window.deadline_at == datetime(2026, 11, 1, 6, 30, tzinfo=UTC)


def test_two_days_are_calendar_days() -> None:
    window = promise(TWO_DAY, MALL, NEW_YORK, local(NEW_YORK, 2026, 3, 7, 15))
    assert isinstance(window, Window)
    assert window.deadline_at == local(NEW_YORK, 2026, 3, 9, 20)
    open_end = msgspec.structs.replace(TWO_DAY, window_end_local=None)
    window = promise(open_end, MALL, NEW_YORK, local(NEW_YORK, 2026, 3, 7, 15))
    assert isinstance(window, Window)
    assert window.deadline_at == local(NEW_YORK, 2026, 3, 9, 15)


def test_before_opening_same_day_waits_and_express_does_not() -> None:
    early = local(PHOENIX, 2026, 5, 4, 8)
    assert promise(EXPRESS, MALL, PHOENIX, early) == Refused(ErrorCode.MERCHANT_CLOSED)
    window = promise(SAME_DAY, MALL, PHOENIX, early, prep_seconds=600)
    assert window == Window(local(PHOENIX, 2026, 5, 4, 10, 10), local(PHOENIX, 2026, 5, 4, 21))


def test_after_closing_only_a_level_of_days_waits() -> None:
    late = local(PHOENIX, 2026, 5, 4, 21, 30)
    no_cutoff = msgspec.structs.replace(SAME_DAY, cutoff_local=None)
    assert promise(no_cutoff, MALL, PHOENIX, late) == Refused(ErrorCode.MERCHANT_CLOSED)
    window = promise(TWO_DAY, MALL, PHOENIX, late)
    assert window == Window(local(PHOENIX, 2026, 5, 5, 10), local(PHOENIX, 2026, 5, 7, 20))


def test_a_store_that_closes_before_it_can_be_ready() -> None:
    late = local(PHOENIX, 2026, 5, 4, 20, 55)
    assert promise(EXPRESS, MALL, PHOENIX, late, prep_seconds=600) == Refused(ErrorCode.MERCHANT_CLOSED)
    window = promise(TWO_DAY, MALL, PHOENIX, late, prep_seconds=600)
    assert window == Window(local(PHOENIX, 2026, 5, 5, 10), local(PHOENIX, 2026, 5, 6, 20))


def test_too_late_to_be_ready_in_time() -> None:
    level = msgspec.structs.replace(SAME_DAY, cutoff_local=None, window_end_local=time(12))
    assert promise(level, MALL, PHOENIX, local(PHOENIX, 2026, 5, 4, 13)) == Refused(ErrorCode.CUTOFF_PASSED)


def test_days_of_the_week() -> None:
    weekdays = msgspec.structs.replace(EXPRESS, days_of_week=(1, 2, 3, 4, 5))
    assert promise(weekdays, MALL, PHOENIX, local(PHOENIX, 2026, 5, 3, 12)) == Refused(ErrorCode.OUTSIDE_HOURS)
    assert isinstance(promise(weekdays, MALL, PHOENIX, local(PHOENIX, 2026, 5, 4, 12)), Window)


def test_a_faster_world_promises_sooner() -> None:
    assert scaled(EXPRESS, 60).promise_seconds == 60
    assert scaled(EXPRESS, 1e9).promise_seconds == 1
    assert scaled(SAME_DAY, 60).cutoff_local == time(18)


def test_the_order_counts_from_now_when_open() -> None:
    now = local(PHOENIX, 2026, 5, 4, 12)
    window = promise(EXPRESS, MALL, PHOENIX, now, prep_seconds=900)
    assert window == Window(now + timedelta(minutes=15), now + timedelta(hours=1))
