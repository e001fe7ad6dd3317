"""Places where drivers stop: whether someone is there, and whether it is open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.domain.geography import Point, distance_m

OPENING_LOOKAHEAD_DAYS_MAX: Final = 14
INTERVALS_MAX: Final = 12
"""Of one day."""
HOLIDAYS_MAX: Final = 366
_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class SiteKind(StrEnum):
    MALL = "mall"
    STORE = "store"
    SUPERMARKET = "supermarket"
    STATION = "station"


@dataclass(frozen=True, slots=True)
class AtFence:
    """inside: within the fence, the reported accuracy counted in the driver's favour up to a cap."""

    inside: bool
    distance_m: float


def at_fence(centre: Point, radius_m: float, point: Point, accuracy_m: float, slack_max_m: float) -> AtFence:
    """Whether a point with this accuracy may be within radius_m of the centre."""
    distance = distance_m(centre, point)
    slack = min(max(accuracy_m, 0.0), slack_max_m)
    return AtFence(distance <= radius_m + slack, distance)


WallTime = Annotated[time, Meta(tz=False)]


class Interval(msgspec.Struct, frozen=True):
    """Local wall-clock times. closes ≤ opens runs into the next day; equal times are a whole day."""

    opens: WallTime
    closes: WallTime


Intervals = Annotated[tuple[Interval, ...], Meta(max_length=INTERVALS_MAX)]


class Holiday(msgspec.Struct, frozen=True):
    """Replaces the weekly intervals of one local date; none means closed."""

    day: date
    intervals: Intervals = ()


class Hours(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Opening hours as stored: per weekday, in the market's local time; a day that is not named is closed."""

    monday: Intervals = ()
    tuesday: Intervals = ()
    wednesday: Intervals = ()
    thursday: Intervals = ()
    friday: Intervals = ()
    saturday: Intervals = ()
    sunday: Intervals = ()
    holidays: Annotated[tuple[Holiday, ...], Meta(max_length=HOLIDAYS_MAX)] = ()


def daily(opens: time, closes: time) -> Hours:
    """The same interval on all seven days."""
    return Hours(**dict.fromkeys(_DAYS, (Interval(opens, closes),)))


ALWAYS_OPEN: Final = daily(time(0), time(0))


@lru_cache(maxsize=1024)
def zone(time_zone: str) -> ZoneInfo:
    """The IANA zone; FlexliveError(invalid) for an unknown name."""
    try:
        return ZoneInfo(time_zone)
    except (KeyError, ValueError, OSError):
        raise FlexliveError(ErrorCode.INVALID, "not an IANA time zone name") from None


def local_instant(day: date, at: time, time_zone: str, *, last: bool = False) -> datetime:
    """The UTC instant of a local wall-clock time.

    A time the clocks skip counts as if they had not been moved yet. One they show twice means the first,
    or the second when last is true."""
    first, second = (
        datetime.combine(day, at.replace(fold=fold, tzinfo=None), tzinfo=zone(time_zone)).astimezone(UTC)
        for fold in (0, 1)
    )
    return max(first, second) if last else first


def local_date(time_zone: str, now: datetime) -> date:
    return now.astimezone(zone(time_zone)).date()


def openings(hours: Hours, time_zone: str, day: date) -> Iterator[tuple[datetime, datetime]]:
    """(opens, closes) as UTC instants of the intervals that start on a local date, in order."""
    for interval in sorted(_intervals(hours, day), key=lambda each: each.opens):
        closing_day = day if interval.closes > interval.opens else day + timedelta(days=1)
        opens = local_instant(day, interval.opens, time_zone)
        closes = local_instant(closing_day, interval.closes, time_zone, last=True)
        if opens < closes:
            yield opens, closes


def is_open(hours: Hours, time_zone: str, now: datetime) -> bool:
    """now: any aware time. Open from the opening instant up to, not including, the closing one."""
    today = local_date(time_zone, now)
    return any(
        opens <= now < closes
        for day in (today - timedelta(days=1), today)
        for opens, closes in openings(hours, time_zone, day)
    )


def next_opening(hours: Hours, time_zone: str, now: datetime) -> datetime | None:
    """now when open, else when it opens next; None when not within OPENING_LOOKAHEAD_DAYS_MAX days."""
    if is_open(hours, time_zone, now):
        return now
    today = local_date(time_zone, now)
    for offset in range(OPENING_LOOKAHEAD_DAYS_MAX + 1):
        for opens, _ in openings(hours, time_zone, today + timedelta(days=offset)):
            if opens > now:
                return opens
    return None


def _intervals(hours: Hours, day: date) -> tuple[Interval, ...]:
    for holiday in hours.holidays:
        if holiday.day == day:
            return holiday.intervals
    weekly: tuple[Interval, ...] = getattr(hours, _DAYS[day.weekday()])
    return weekly
