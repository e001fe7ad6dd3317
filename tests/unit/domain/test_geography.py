from __future__ import annotations

from math import inf, nan, pi

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexlive.domain.geography import EARTH_RADIUS_M, Point, distance_m, on_earth
from tests.unit.domain.builders import points


@given(points, points)
def test_distance_is_a_distance(a: Point, b: Point) -> None:
    assert distance_m(a, b) == pytest.approx(distance_m(b, a))
    assert 0 <= distance_m(a, b) <= pi * EARTH_RADIUS_M + 1
    assert distance_m(a, a) == 0


@given(points, points, points)
def test_no_detour_is_shorter(a: Point, b: Point, c: Point) -> None:
    assert distance_m(a, c) <= distance_m(a, b) + distance_m(b, c) + 1


@given(st.floats(-180, 180), st.floats(-180, 180))
def test_a_pole_is_one_point(lon_a: float, lon_b: float) -> None:
    assert distance_m(Point(90, lon_a), Point(90, lon_b)) == pytest.approx(0, abs=1e-6)


def test_the_antimeridian_is_no_wall() -> None:
    assert distance_m(Point(-17, 179.999), Point(-17, -179.999)) == pytest.approx(212.7, abs=1)
    assert distance_m(Point(5, 180), Point(5, -180)) == pytest.approx(0, abs=1e-6)


def test_the_far_side_of_the_earth_is_half_way_round() -> None:
    for lat in (-0.82, -44.05, -85.75, 66.2):  # rounding lifts the haversine above 1 here
        assert distance_m(Point(lat, 0), Point(-lat, 180)) == pytest.approx(pi * EARTH_RADIUS_M)


def test_a_known_distance() -> None:
    las_vegas, phoenix = Point(36.1699, -115.1398), Point(33.4484, -112.0740)
    assert distance_m(las_vegas, phoenix) == pytest.approx(412_000, rel=0.01)


@pytest.mark.parametrize(("lat", "lon"), [(nan, 0), (0, inf), (-90.001, 0), (0, 180.001)])
def test_not_on_earth(lat: float, lon: float) -> None:
    assert not on_earth(lat, lon)


@given(points)
def test_on_earth(point: Point) -> None:
    assert on_earth(*point)
