"""Whether a store may take an order now, and which windows it gets. Pure: one row and the request in, values out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.domain.offers import OfferShape
from flexlive.domain.service_levels import Refused, ServiceLevel, promise, scaled
from flexlive.domain.sites import Hours, is_open
from flexlive.protocol.merchant import CreateDelivery
from flexlive.storage.pool import Record

READY_PAST_SECONDS_MAX: Final = 3600
"""A pickup_ready_at this far back is taken as ready now; clocks differ and queues wait."""
DEADLINE_AHEAD_DAYS_MAX: Final = 30


@dataclass(frozen=True, slots=True)
class Windows:
    """Aware UTC."""

    pickup_ready_at: datetime
    pickup_deadline_at: datetime | None
    dropoff_ready_at: datetime | None
    dropoff_deadline_at: datetime


def judge(terms: Record, request: CreateDelivery, now: datetime, time_scale: float) -> Windows:
    """The windows of the order; terms: a row of `order_terms`.

    FlexliveError: invalid (currency, weight, barcodes, an unknown service level), not_participating, or what
    domain.service_levels.promise refuses, or pickup_window_invalid.
    """
    _check_content(terms, request)
    _check_participation(terms, now)
    if terms["shape"] is None:
        raise FlexliveError(ErrorCode.INVALID, "the market does not offer this service level")
    level = scaled(_level(terms, request), time_scale)
    hours = _hours(terms["store_hours"], terms["holidays"])
    ready = _utc(request.pickup_ready_at)
    if ready is not None and ready < now - timedelta(seconds=READY_PAST_SECONDS_MAX):
        raise FlexliveError(ErrorCode.PICKUP_WINDOW_INVALID, "pickup_ready_at is in the past")
    wait = terms["prep_seconds_default"] / time_scale if ready is None else (ready - now).total_seconds()
    promised = promise(level, hours, terms["time_zone"], now, prep_seconds=max(0.0, wait))
    if isinstance(promised, Refused):
        raise FlexliveError(promised.code)
    if level.shape is OfferShape.ON_DEMAND and not is_open(_hours(terms["site_hours"]), terms["time_zone"], now):
        raise FlexliveError(ErrorCode.MERCHANT_CLOSED, "the site is closed")
    windows = Windows(
        pickup_ready_at=promised.ready_at if ready is None or ready < promised.ready_at else ready,
        pickup_deadline_at=_utc(request.pickup_deadline_at),
        dropoff_ready_at=_utc(request.dropoff_ready_at),
        dropoff_deadline_at=_utc(request.dropoff_deadline_at) or promised.deadline_at,
    )
    _check_order(windows, now)
    return windows


def _check_content(terms: Record, request: CreateDelivery) -> None:
    if request.currency not in (None, terms["currency"]):
        raise FlexliveError(ErrorCode.INVALID, f"the market's currency is {terms['currency']}")
    if any(package.weight_grams > terms["carry_weight_grams_max"] for package in request.packages):
        raise FlexliveError(ErrorCode.INVALID, "a package is heavier than this store hands over")
    barcodes = [package.barcode for package in request.packages if package.barcode is not None]
    if len(set(barcodes)) != len(barcodes):
        raise FlexliveError(ErrorCode.INVALID, "two packages have the same barcode")
    if not set(request.dropoff_verification.barcodes) <= set(barcodes):
        raise FlexliveError(ErrorCode.INVALID, "dropoff_verification.barcodes names a barcode no package has")


def _check_participation(terms: Record, now: datetime) -> None:
    until = terms["participation_until"]
    taking_part = (
        terms["participation_active"]
        and terms["offer_type_active"]
        and terms["participation_from"] <= now
        and (until is None or now < until)
    )
    if not taking_part:
        raise FlexliveError(ErrorCode.NOT_PARTICIPATING)
    if terms["pilot_killed"]:
        raise FlexliveError(ErrorCode.NOT_PARTICIPATING, "the pilot of this offer type is stopped here")


def _check_order(windows: Windows, now: datetime) -> None:
    ready, deadline = windows.pickup_ready_at, windows.dropoff_deadline_at
    in_order = (
        max(ready, now) < deadline <= now + timedelta(days=DEADLINE_AHEAD_DAYS_MAX)
        and (windows.pickup_deadline_at is None or ready <= windows.pickup_deadline_at <= deadline)
        and (windows.dropoff_ready_at is None or windows.dropoff_ready_at < deadline)
    )
    if not in_order:
        raise FlexliveError(
            ErrorCode.PICKUP_WINDOW_INVALID,
            "needs pickup_ready_at ≤ pickup_deadline_at ≤ dropoff_deadline_at, the last within "
            f"{DEADLINE_AHEAD_DAYS_MAX} days, and dropoff_ready_at before it",
        )


def _level(terms: Record, request: CreateDelivery) -> ServiceLevel:
    names = ("shape", "promise_seconds", "cutoff_local", "window_end_local", "days_of_week")
    return msgspec.convert(
        {"service_level": request.service_level, **{name: terms[name] for name in names}}, ServiceLevel
    )


def _hours(weekly: dict[str, Any], holidays: list[Any] | None = None) -> Hours:
    return msgspec.convert(weekly if holidays is None else {**weekly, "holidays": holidays}, Hours)


def _utc(at: datetime | None) -> datetime | None:
    return None if at is None else at.astimezone(UTC)
