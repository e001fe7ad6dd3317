"""How long the way takes: great circle, stretched to streets, at the market's speed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from flexlive.domain.geography import Point, distance_m
from flexlive.domain.markets import MarketPolicy

EARLIER_SHARE: Final = 0.1
LATER_SHARE: Final = 0.25
"""Of the way still to go, how much sooner or later than the speed of the market says an arrival may be."""


def road_m(a: Point, b: Point, policy: MarketPolicy) -> float:
    """Metres by road, as far as a detour factor knows."""
    return distance_m(a, b) * policy.detour_factor


def eta_seconds(a: Point, b: Point, policy: MarketPolicy) -> float:
    return road_m(a, b, policy) / policy.travel_speed_mps


def path_seconds(points: Sequence[Point], policy: MarketPolicy, *, doors_before: int = 0) -> float:
    """Driving through the points in order, plus the time at doors_before doors on the way."""
    driving = sum(eta_seconds(a, b, policy) for a, b in pairwise(points))
    return driving + doors_before * policy.service_door_seconds


def imminent(seconds: float, policy: MarketPolicy) -> bool:
    """Whether the customer should be told to come to the door."""
    return seconds <= policy.courier_imminent_seconds


def worth_telling(previous_eta: datetime | None, new_eta: datetime, *, step_seconds: float = 60.0) -> bool:
    """Whether an arrival time differs enough from the one told last; the first always does."""
    return previous_eta is None or abs((new_eta - previous_eta).total_seconds()) >= step_seconds


def arrival_window(arrives_at: datetime, now: datetime, policy: MarketPolicy) -> tuple[datetime, datetime]:
    """(from, until) that an expected arrival is told as: narrower the nearer it is, never in the past. The end has
    room for parking and the stairs."""
    ahead = max(arrives_at - now, timedelta(0))
    walk = timedelta(seconds=policy.service_door_seconds)
    return now + ahead * (1 - EARLIER_SHARE), now + ahead * (1 + LATER_SHARE) + walk
