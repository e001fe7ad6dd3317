"""What a market promises for an order: until when it may come in, and by when it is at the door."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Final

import msgspec

from flexlive.domain.errors import ErrorCode
from flexlive.domain.offers import OfferShape
from flexlive.domain.sites import Hours, is_open, local_date, local_instant, next_opening, zone

DAY_SECONDS: Final = 86_400


class ServiceLevelName(StrEnum):
    EXPRESS = "express"
    SAME_DAY = "same_day"
    TWO_DAY = "two_day"


class ServiceLevel(msgspec.Struct, frozen=True, kw_only=True):
    """promise_seconds: from order (or opening, when later) to door; whole days of it are calendar days.
    cutoff_local: later orders are refused. window_end_local: nothing is promised for later than that.
    days_of_week: ISO, 1 = Monday."""

    service_level: ServiceLevelName
    shape: OfferShape
    promise_seconds: int
    cutoff_local: time | None = None
    window_end_local: time | None = None
    days_of_week: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7)


@dataclass(frozen=True, slots=True)
class Window:
    """ready_at: when the store can hand it over at the earliest. deadline_at: at the door by then."""

    ready_at: datetime
    deadline_at: datetime


@dataclass(frozen=True, slots=True)
class Refused:
    code: ErrorCode


def promise(
    level: ServiceLevel, hours: Hours, time_zone: str, now: datetime, *, prep_seconds: float = 0
) -> Window | Refused:
    """The window of an order that comes in now, to a store with these hours; UTC.

    An on_demand level needs an open store; the others wait for the opening of the same local day (levels of a day
    or more: of the next open one)."""
    # Adding seconds to a local time would add them to the wall clock.
    now = now.astimezone(UTC)
    local_now = now.astimezone(zone(time_zone))
    if local_now.isoweekday() not in level.days_of_week:
        return Refused(ErrorCode.OUTSIDE_HOURS)
    if level.cutoff_local is not None and local_now.time() > level.cutoff_local:
        return Refused(ErrorCode.CUTOFF_PASSED)
    start = _start(level, hours, time_zone, now)
    if start is None:
        return Refused(ErrorCode.MERCHANT_CLOSED)
    ready_at = start + timedelta(seconds=prep_seconds)
    deadline_at = _deadline(level, time_zone, start)
    if deadline_at <= ready_at:
        return Refused(ErrorCode.CUTOFF_PASSED)
    # A store that closes before it can be ready has the order ready when it opens again, which only a level of
    # days can wait for.
    if not is_open(hours, time_zone, ready_at):
        reopening = next_opening(hours, time_zone, ready_at)
        if level.promise_seconds < DAY_SECONDS or reopening is None or deadline_at <= reopening:
            return Refused(ErrorCode.MERCHANT_CLOSED)
        ready_at = reopening
    return Window(ready_at, deadline_at)


def scaled(level: ServiceLevel, time_scale: float) -> ServiceLevel:
    """The level of a world that runs time_scale times faster. Times of day stay what they are."""
    return msgspec.structs.replace(level, promise_seconds=max(1, round(level.promise_seconds / time_scale)))


def _start(level: ServiceLevel, hours: Hours, time_zone: str, now: datetime) -> datetime | None:
    opening = next_opening(hours, time_zone, now)
    if opening is None or (level.shape is OfferShape.ON_DEMAND and opening > now):
        return None
    if level.promise_seconds < DAY_SECONDS and local_date(time_zone, opening) != local_date(time_zone, now):
        return None
    return opening


def _deadline(level: ServiceLevel, time_zone: str, start: datetime) -> datetime:
    days, seconds = divmod(level.promise_seconds, DAY_SECONDS)
    day = local_date(time_zone, start) + timedelta(days=days)
    if days == 0:
        latest = start + timedelta(seconds=seconds)
        if level.window_end_local is None:
            return latest
        return min(latest, local_instant(day, level.window_end_local, time_zone, last=True))
    if level.window_end_local is not None:
        return local_instant(day, level.window_end_local, time_zone, last=True)
    at = start.astimezone(zone(time_zone)).time()
    return local_instant(day, at, time_zone) + timedelta(seconds=seconds)
