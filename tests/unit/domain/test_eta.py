from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexlive.domain.eta import arrival_window, eta_seconds, imminent, path_seconds, road_m, worth_telling
from flexlive.domain.geography import Point, distance_m
from flexlive.domain.markets import MarketPolicy, scaled
from tests.unit.domain.builders import FASHION_SHOW, NOW, points, seconds

POLICY = MarketPolicy()


@given(points, points)
def test_the_road_is_longer_than_the_crow_flies(a: Point, b: Point) -> None:
    assert road_m(a, b, POLICY) >= distance_m(a, b)
    assert eta_seconds(a, b, POLICY) == pytest.approx(eta_seconds(b, a, POLICY))


@given(st.lists(points, min_size=1, max_size=5), st.integers(0, 4))
def test_a_path_is_its_legs_and_doors(path: list[Point], doors: int) -> None:
    legs = sum(eta_seconds(a, b, POLICY) for a, b in zip(path, path[1:], strict=False))  # noqa: RUF007
    assert path_seconds(path, POLICY, doors_before=doors) == pytest.approx(legs + doors * 180)


@given(points, points, st.floats(0.5, 100))
def test_a_faster_world_arrives_sooner(a: Point, b: Point, scale: float) -> None:
    assert eta_seconds(a, b, scaled(POLICY, scale)) * scale == pytest.approx(eta_seconds(a, b, POLICY))


def test_nowhere_to_go() -> None:
    assert eta_seconds(FASHION_SHOW, FASHION_SHOW, POLICY) == 0
    assert imminent(180, POLICY)
    assert not imminent(181, POLICY)


@pytest.mark.parametrize(("later", "worth"), [(0, False), (59, False), (60, True), (-59, False), (-60, True)])
def test_only_changes_that_matter_are_told(later: float, worth: bool) -> None:
    assert worth_telling(NOW, NOW + seconds(later)) is worth
    assert worth_telling(None, NOW)


@given(minutes=st.floats(-30, 600))
def test_an_arrival_window_holds_the_arrival_and_is_never_in_the_past(minutes: float) -> None:
    arrives_at = NOW + seconds(minutes * 60)
    start, end = arrival_window(arrives_at, NOW, POLICY)
    assert NOW <= start <= max(arrives_at, NOW) <= end
    near_start, near_end = arrival_window(NOW + seconds(minutes * 30), NOW, POLICY)
    assert near_end - near_start <= end - start
