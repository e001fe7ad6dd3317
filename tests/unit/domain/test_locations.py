from __future__ import annotations

from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexlive.domain.geography import Point, distance_m
from flexlive.domain.locations import (
    Accepted,
    Crossing,
    Fix,
    FromFuture,
    Implausible,
    Inaccurate,
    Mocked,
    Older,
    crossing,
    judge_ping,
)
from flexlive.domain.markets import MarketPolicy, scaled
from tests.unit.domain.builders import FASHION_SHOW, NOW, points, seconds

POLICY = MarketPolicy()
fixes = st.builds(
    lambda point, age, accuracy: Fix(point, NOW - seconds(age), accuracy),
    points,
    st.integers(-50, 3600),
    st.floats(0, 2000),
)


def north(metres: float) -> Point:
    return Point(FASHION_SHOW.lat + metres / 111_195, FASHION_SHOW.lon)


def fix(metres: float, at_seconds: float, **changes: object) -> Fix:
    return Fix(**({"point": north(metres), "at": NOW + seconds(at_seconds), "accuracy_m": 0.0} | changes))  # type: ignore[arg-type]


@given(fixes, fixes)
def test_what_is_accepted_is_newer_and_could_be_driven(previous: Fix, following: Fix) -> None:
    verdict = judge_ping(previous, following, NOW, POLICY)
    if isinstance(verdict, Accepted):
        elapsed = (following.at - previous.at).total_seconds()
        assert elapsed > 0
        assert verdict.moved_m <= elapsed * POLICY.speed_mps_max + 2 * POLICY.accuracy_slack_max_m + 1e-6


@given(fixes)
def test_the_same_fix_twice_is_old(each: Fix) -> None:
    assert judge_ping(each, each, NOW, POLICY) == Older()
    assert judge_ping(None, each, NOW, POLICY) == Accepted(0.0)


@pytest.mark.parametrize(
    ("following", "verdict"),
    [
        (fix(699, 10), Accepted),
        (fix(710, 10), Implausible),
        (fix(710, 10, accuracy_m=50), Accepted),
        (fix(2000, 10, accuracy_m=2000), Implausible),
        (fix(0, -1), Older),
        (fix(0, 5, accuracy_m=2001.0), Inaccurate),
        (fix(0, 5, accuracy_m=nan), Inaccurate),
        (fix(0, 5, accuracy_m=-1.0), Inaccurate),
        (fix(0, 5, mock=True), Mocked),
        (fix(0, 70.5), FromFuture),
    ],
)
def test_the_next_position(following: Fix, verdict: type) -> None:
    assert isinstance(judge_ping(fix(0, 0), following, NOW + seconds(10), POLICY), verdict)


def test_a_faster_world_drives_faster() -> None:
    assert isinstance(judge_ping(fix(0, 0), fix(30_000, 10), NOW, scaled(POLICY, 60)), Accepted)


@given(points, points, st.floats(10, 5000))
def test_a_step_arrives_or_leaves_but_not_both(a: Point, b: Point, radius_m: float) -> None:
    there, back = crossing(a, b, b, radius_m), crossing(b, a, b, radius_m)
    far = distance_m(a, b)
    assert there is (Crossing.ARRIVED if far > radius_m else None)
    assert back is (Crossing.LEFT if far > radius_m * 1.5 else None)


@pytest.mark.parametrize(
    ("previous", "here", "expected"),
    [
        (100, 50, Crossing.ARRIVED),
        (None, 50, Crossing.ARRIVED),
        (50, 40, None),
        (50, 80, None),
        (80, 95, Crossing.LEFT),
        (50, 95, Crossing.LEFT),
        (95, 120, None),
        (None, 120, None),
        (80, 70, None),
    ],
)
def test_the_fence_of_a_door(previous: float | None, here: float, expected: Crossing | None) -> None:
    before = None if previous is None else north(previous)
    assert crossing(before, north(here), FASHION_SHOW, 60) is expected
