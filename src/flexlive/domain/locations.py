"""Positions as phones report them: which to believe, and when one crosses the fence of a stop."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeAlias

from flexlive.domain.geography import Point, distance_m
from flexlive.domain.markets import MarketPolicy

CLOCK_AHEAD_SECONDS_MAX: Final = 60
"""How far a phone's clock may run ahead of ours."""


@dataclass(frozen=True, slots=True)
class Fix:
    """One reported position. at: when the phone measured it."""

    point: Point
    at: datetime
    accuracy_m: float
    mock: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    moved_m: float


@dataclass(frozen=True, slots=True)
class Older:
    """Not newer than the one we have: late, doubled or out of order."""


@dataclass(frozen=True, slots=True)
class Implausible:
    """No car is that fast, even with both accuracies in its favour."""

    speed_mps: float


@dataclass(frozen=True, slots=True)
class Inaccurate:
    pass


@dataclass(frozen=True, slots=True)
class FromFuture:
    pass


@dataclass(frozen=True, slots=True)
class Mocked:
    """The phone says another app made it up."""


PingVerdict: TypeAlias = Accepted | Older | Implausible | Inaccurate | FromFuture | Mocked


def judge_ping(previous: Fix | None, fix: Fix, now: datetime, policy: MarketPolicy) -> PingVerdict:
    """Whether a reported position replaces the previous one."""
    if fix.mock:
        return Mocked()
    if (fix.at - now).total_seconds() > CLOCK_AHEAD_SECONDS_MAX:
        return FromFuture()
    if not 0 <= fix.accuracy_m <= policy.accuracy_m_max:
        return Inaccurate()
    if previous is None:
        return Accepted(0.0)
    seconds = (fix.at - previous.at).total_seconds()
    if seconds <= 0:
        return Older()
    moved = distance_m(previous.point, fix.point)
    slack = min(previous.accuracy_m, policy.accuracy_slack_max_m) + min(fix.accuracy_m, policy.accuracy_slack_max_m)
    speed = max(0.0, moved - slack) / seconds
    return Implausible(speed) if speed > policy.speed_mps_max else Accepted(moved)


class Crossing(StrEnum):
    ARRIVED = "arrived"
    LEFT = "left"


def crossing(
    previous: Point | None, point: Point, centre: Point, radius_m: float, leave_factor: float = 1.5
) -> Crossing | None:
    """Whether the way from previous to point crosses the fence.

    Leaving counts at leave_factor × radius only, so that a position trembling on the fence does not flap.
    Without a previous point, being inside is an arrival."""
    here = distance_m(centre, point)
    before = distance_m(centre, previous) if previous is not None else None
    if here <= radius_m:
        return Crossing.ARRIVED if before is None or before > radius_m else None
    leave_m = radius_m * leave_factor
    return Crossing.LEFT if before is not None and before <= leave_m < here else None
