from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.domain.geography import Point
from flexlive.domain.sites import (
    ALWAYS_OPEN,
    Holiday,
    Hours,
    Interval,
    at_fence,
    daily,
    is_open,
    local_instant,
    next_opening,
    openings,
    zone,
)
from tests.unit.domain.builders import instants

LAS_VEGAS, PHOENIX, NEW_YORK = "America/Los_Angeles", "America/Phoenix", "America/New_York"
TEN_TO_NINE = daily(time(10), time(21))
zones = st.sampled_from([LAS_VEGAS, PHOENIX, NEW_YORK])


@given(instants, zones)
def test_open_means_what_the_clock_on_the_wall_says(now: datetime, time_zone: str) -> None:
    wall = now.astimezone(zone(time_zone)).time()
    assert is_open(TEN_TO_NINE, time_zone, now) == (time(10) <= wall < time(21))


@given(instants, zones)
def test_a_place_that_never_closes_never_closes(now: datetime, time_zone: str) -> None:
    assert is_open(ALWAYS_OPEN, time_zone, now)


@given(instants, zones)
def test_the_next_opening_is_an_opening_and_the_next(now: datetime, time_zone: str) -> None:
    opens = next_opening(TEN_TO_NINE, time_zone, now)
    assert opens is not None
    assert opens >= now
    assert is_open(TEN_TO_NINE, time_zone, opens)
    assert opens == now or not is_open(TEN_TO_NINE, time_zone, opens - timedelta(microseconds=1))
    assert opens - now <= timedelta(hours=14)


@pytest.mark.parametrize(
    ("time_zone", "before", "after"),
    [(LAS_VEGAS, 17, 16), (NEW_YORK, 14, 13), (PHOENIX, 16, 16)],
)
def test_nine_in_the_morning_moves_with_the_clocks_but_not_in_arizona(time_zone: str, before: int, after: int) -> None:
    hours = daily(time(9), time(21))
    ((opens_before, _),) = openings(hours, time_zone, date(2026, 3, 7))
    ((opens_after, _),) = openings(hours, time_zone, date(2026, 3, 8))
    assert (opens_before.hour, opens_after.hour) == (before, after)


def test_a_night_market_on_the_nights_of_the_change() -> None:
    hours = daily(time(22), time(4))
    lengths = [
        closes - opens
        for day in (date(2026, 3, 7), date(2026, 6, 1), date(2026, 10, 31))
        for opens, closes in openings(hours, NEW_YORK, day)
    ]
    assert lengths == [timedelta(hours=5), timedelta(hours=6), timedelta(hours=7)]
    assert is_open(hours, NEW_YORK, datetime(2026, 6, 2, 7, 59, tzinfo=UTC))
    assert not is_open(hours, NEW_YORK, datetime(2026, 6, 2, 8, 0, tzinfo=UTC))


def test_times_the_clocks_skip_or_show_twice() -> None:
    skipped = local_instant(date(2026, 3, 8), time(2, 30), NEW_YORK)
    assert skipped == datetime(2026, 3, 8, 7, 30, tzinfo=UTC)
    assert local_instant(date(2026, 3, 8), time(2, 30), NEW_YORK, last=True) == skipped
    assert local_instant(date(2026, 11, 1), time(1, 30), NEW_YORK) == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    assert local_instant(date(2026, 11, 1), time(1, 30), NEW_YORK, last=True) == datetime(
        2026, 11, 1, 6, 30, tzinfo=UTC
    )


def test_holidays_replace_the_week() -> None:
    half = (Interval(time(10), time(14)),)
    hours = msgspec.structs.replace(
        TEN_TO_NINE, holidays=(Holiday(date(2026, 12, 25)), Holiday(date(2026, 12, 24), half))
    )
    assert not is_open(hours, NEW_YORK, datetime(2026, 12, 25, 18, tzinfo=UTC))
    assert is_open(hours, NEW_YORK, datetime(2026, 12, 24, 18, tzinfo=UTC))
    assert not is_open(hours, NEW_YORK, datetime(2026, 12, 24, 20, tzinfo=UTC))
    after = next_opening(hours, NEW_YORK, datetime(2026, 12, 24, 20, tzinfo=UTC))
    assert after == datetime(2026, 12, 26, 15, tzinfo=UTC)


def test_a_place_without_hours_is_closed() -> None:
    now = datetime(2026, 5, 4, 17, tzinfo=UTC)
    assert not is_open(Hours(), NEW_YORK, now)
    assert next_opening(Hours(), NEW_YORK, now) is None


def test_hours_read_back_as_stored() -> None:
    hours = msgspec.structs.replace(TEN_TO_NINE, holidays=(Holiday(date(2026, 12, 25)),))
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(hours)), Hours) == hours


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "/etc/passwd", "America", "a\0b"])
def test_strange_time_zones(name: str) -> None:
    with pytest.raises(FlexliveError) as caught:
        zone(name)
    assert caught.value.code is ErrorCode.INVALID


@pytest.mark.parametrize(
    ("lon", "accuracy_m", "inside"),
    [
        (0.0, 0, True),
        (0.0013, 0, True),
        (0.0014, 0, False),
        (0.0014, 20, True),
        (0.0014, -50, False),
        (0.01, 5000, False),
    ],
)
def test_a_fence_gives_the_accuracy_credit_up_to_a_cap(lon: float, accuracy_m: float, inside: bool) -> None:
    there = at_fence(Point(0, 0), 150, Point(0, lon), accuracy_m, 100)
    assert there.inside is inside
    assert there.distance_m == pytest.approx(lon * 111_195, abs=1)
