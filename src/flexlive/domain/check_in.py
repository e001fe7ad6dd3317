"""Whether a driver who says "I am here" is believed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeAlias

from flexlive.domain.errors import ErrorCode
from flexlive.domain.geography import Point
from flexlive.domain.markets import MarketPolicy
from flexlive.domain.pickups import same_code
from flexlive.domain.sites import at_fence

FIX_AGE_SECONDS_MAX: Final = 900
"""How old the evidence may be: a phone may have been out of reach inside a mall."""

CLOCK_AHEAD_SECONDS_MAX: Final = 60


class CheckInMethod(StrEnum):
    GEOFENCE = "geofence"
    STORE_QR = "store_qr"
    CODE = "code"
    CROSSING = "crossing"
    OPS = "ops"


@dataclass(frozen=True, slots=True)
class CheckInStop:
    """code: what the site's QR and its printed code say; None where there is none (a door)."""

    point: Point
    geofence_radius_m: int
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """distance_m: None when no position came with it. flagged: the phone itself called the position mocked."""

    distance_m: float | None
    flagged: bool = False


@dataclass(frozen=True, slots=True)
class OutOfRange:
    distance_m: float


@dataclass(frozen=True, slots=True)
class WrongCode:
    pass


@dataclass(frozen=True, slots=True)
class Stale:
    """The evidence is too old, or from the future."""

    age_seconds: float


@dataclass(frozen=True, slots=True)
class Incomplete:
    """The method needs a point, or a code, that did not come; or a driver may not use it."""


Verdict: TypeAlias = Accepted | OutOfRange | WrongCode | Stale | Incomplete


def judge(
    *,
    method: CheckInMethod,
    at: datetime,
    stop: CheckInStop,
    now: datetime,
    policy: MarketPolicy,
    point: Point | None = None,
    accuracy_m: float | None = None,
    code: str | None = None,
    mock: bool = False,
) -> Verdict:
    """Whether the driver was at the stop at the time given. Positions of crossings are our own and judged before."""
    age = (now - at).total_seconds()
    if not -CLOCK_AHEAD_SECONDS_MAX <= age <= FIX_AGE_SECONDS_MAX:
        return Stale(age)
    there = None
    if point is not None:
        slack = policy.accuracy_slack_max_m
        there = at_fence(stop.point, stop.geofence_radius_m, point, accuracy_m or 0.0, slack)
    distance = there.distance_m if there is not None else None
    match method:
        case CheckInMethod.GEOFENCE:
            if there is None:
                return Incomplete()
            return Accepted(there.distance_m, mock) if there.inside else OutOfRange(there.distance_m)
        case CheckInMethod.STORE_QR | CheckInMethod.CODE:
            if code is None or stop.code is None:
                return Incomplete()
            return Accepted(distance, mock) if same_code(code, stop.code) else WrongCode()
        case CheckInMethod.CROSSING | CheckInMethod.OPS:
            return Accepted(distance, mock)


def error_code(verdict: OutOfRange | WrongCode | Stale | Incomplete) -> ErrorCode:
    """The code a refusal answers with."""
    match verdict:
        case OutOfRange() | Stale():
            return ErrorCode.OUT_OF_RANGE
        case WrongCode():
            return ErrorCode.WRONG_CODE
        case Incomplete():
            return ErrorCode.INVALID
