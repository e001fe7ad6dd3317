from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexlive.domain.check_in import (
    FIX_AGE_SECONDS_MAX,
    Accepted,
    CheckInMethod,
    CheckInStop,
    Incomplete,
    OutOfRange,
    Stale,
    WrongCode,
    error_code,
    judge,
)
from flexlive.domain.errors import ErrorCode
from flexlive.domain.geography import Point, distance_m
from flexlive.domain.markets import MarketPolicy
from tests.unit.domain.builders import FASHION_SHOW, NOW, points, seconds

STOP = CheckInStop(FASHION_SHOW, 150, code="MALL-7")
POLICY = MarketPolicy()
M = CheckInMethod


def ask(method: CheckInMethod, **evidence):
    return judge(**({"method": method, "at": NOW, "stop": STOP, "now": NOW, "policy": POLICY} | evidence))


@given(points, st.floats(0, 10_000))
def test_nobody_checks_in_from_further_than_fence_and_cap(point: Point, accuracy_m: float) -> None:
    verdict = ask(M.GEOFENCE, point=point, accuracy_m=accuracy_m)
    reach = STOP.geofence_radius_m + POLICY.accuracy_slack_max_m
    assert isinstance(verdict, OutOfRange) or distance_m(point, FASHION_SHOW) <= reach


def test_at_the_entrance() -> None:
    assert ask(M.GEOFENCE, point=FASHION_SHOW, accuracy_m=8.0) == Accepted(0.0)
    assert ask(M.GEOFENCE, point=FASHION_SHOW, mock=True) == Accepted(0.0, flagged=True)


def test_across_the_street() -> None:
    verdict = ask(M.GEOFENCE, point=Point(FASHION_SHOW.lat + 0.01, FASHION_SHOW.lon), accuracy_m=8.0)
    assert isinstance(verdict, OutOfRange)
    assert verdict.distance_m == pytest.approx(1112, abs=2)


@pytest.mark.parametrize("method", [M.STORE_QR, M.CODE])
def test_codes(method: CheckInMethod) -> None:
    assert ask(method, code="mall-7") == Accepted(None)
    assert ask(method, code="MALL-8") == WrongCode()
    assert ask(method) == Incomplete()
    assert ask(method, code="", stop=CheckInStop(FASHION_SHOW, 150)) == Incomplete()
    assert ask(method, code="", stop=CheckInStop(FASHION_SHOW, 150, code="")) == WrongCode()


def test_a_geofence_needs_a_position() -> None:
    assert ask(M.GEOFENCE) == Incomplete()


@pytest.mark.parametrize(
    ("age", "fresh"),
    [(0, True), (FIX_AGE_SECONDS_MAX, True), (FIX_AGE_SECONDS_MAX + 1, False), (-60, True), (-61, False)],
)
def test_evidence_has_an_age(age: float, fresh: bool) -> None:
    verdict = ask(M.GEOFENCE, point=FASHION_SHOW, at=NOW - seconds(age))
    assert verdict == (Accepted(0.0) if fresh else Stale(age))


def test_our_own_evidence_and_ops() -> None:
    assert ask(M.CROSSING, point=FASHION_SHOW) == Accepted(0.0)
    assert ask(M.OPS) == Accepted(None)


@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        (OutOfRange(9.0), ErrorCode.OUT_OF_RANGE),
        (Stale(9.0), ErrorCode.OUT_OF_RANGE),
        (WrongCode(), ErrorCode.WRONG_CODE),
        (Incomplete(), ErrorCode.INVALID),
    ],
)
def test_refusals_have_codes(verdict, code: ErrorCode) -> None:
    assert error_code(verdict) is code
