"""Cars of the lab move on straight lines and stop where they should."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexlive.domain.geography import Point, distance_m
from flexlive.lab.geo import between, near, offset
from flexlive.lab.motion import Motion

HOME = Point(36.1277, -115.1717)


@given(st.floats(-20_000, 20_000), st.floats(-20_000, 20_000))
def test_an_offset_is_as_long_as_asked(east_m: float, north_m: float) -> None:
    assert distance_m(HOME, offset(HOME, east_m, north_m)) == pytest.approx(
        math.hypot(east_m, north_m), rel=0.005, abs=0.01
    )


@given(st.integers(), st.floats(1, 10_000))
def test_near_stays_near(seed: int, radius_m: float) -> None:
    assert distance_m(HOME, near(HOME, radius_m, Random(seed))) <= radius_m * 1.01


def test_a_leg_begins_passes_and_ends() -> None:
    there = offset(HOME, 6000, 0)
    motion = Motion(HOME, there, begun_at=100.0, seconds=10.0)
    assert motion.place(100) == HOME
    assert distance_m(motion.place(105), HOME) == pytest.approx(3000, rel=0.01)
    assert motion.place(110) == motion.place(500) == there
    assert (motion.moving(109.9), motion.moving(110), motion.ends_at) == (True, False, 110)


def test_standing_is_a_leg_without_length() -> None:
    motion = Motion.standing(HOME, 5.0)
    assert motion.place(0) == motion.place(9) == HOME
    assert not motion.moving(5.0)


def test_between_never_overshoots() -> None:
    there = offset(HOME, 0, 1000)
    assert between(HOME, there, 7) == there
    assert between(HOME, there, -1) == HOME
