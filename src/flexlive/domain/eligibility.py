"""Why a driver may, or may not, be shown or win a piece of work."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from flexlive.domain.drivers import DriverState, DriverStatus, Presence


class Work(Protocol):
    """What an offer, or a delivery that waits for one, asks of a driver and the vehicle."""

    @property
    def offer_type(self) -> str: ...
    @property
    def package_count(self) -> int: ...
    @property
    def weight_grams(self) -> int: ...
    @property
    def must_be_upright(self) -> bool: ...
    @property
    def pilots(self) -> frozenset[UUID]:
        """Pilots that run over this work: only who is in the cohort of each may have it."""
        ...


class Reason(StrEnum):
    NOT_ACTIVE = "driver_not_active"
    NOT_ENROLLED = "not_enrolled"
    OUTSIDE_PILOT = "outside_pilot"
    NO_VEHICLE = "no_vehicle"
    TOO_MANY_PACKAGES = "too_many_packages"
    TOO_HEAVY = "too_heavy"
    NOT_UPRIGHT = "not_upright"
    OFFLINE = "offline"
    DECLINED = "declined"
    SLOTS_FULL = "slots_full"


@dataclass(frozen=True, slots=True)
class Eligible:
    """slot: where the route would go."""

    slot: int


@dataclass(frozen=True, slots=True)
class Ineligible:
    reason: Reason


def entitled(work: Work, driver: DriverState) -> Reason | None:
    """Why this work is never to be shown to this driver as things stand; None when it may be.

    Says nothing about where the driver is, being on-line or having a free slot: those change by the minute."""
    vehicle = driver.vehicle
    if driver.status is not DriverStatus.ACTIVE:
        return Reason.NOT_ACTIVE
    if work.offer_type not in driver.enrolled:
        return Reason.NOT_ENROLLED
    if not work.pilots <= driver.pilots:
        return Reason.OUTSIDE_PILOT
    if vehicle is None:
        return Reason.NO_VEHICLE
    if work.package_count > vehicle.packages_max:
        return Reason.TOO_MANY_PACKAGES
    if work.weight_grams > vehicle.weight_grams_max:
        return Reason.TOO_HEAVY
    if work.must_be_upright and not vehicle.carries_upright:
        return Reason.NOT_UPRIGHT
    return None


def eligible(work: Work, driver: DriverState, *, declined: bool = False) -> Eligible | Ineligible:
    """Whether the driver may win the work now; declined: this driver has refused it before."""
    reason = entitled(work, driver)
    if reason is not None:
        return Ineligible(reason)
    if driver.presence is not Presence.ONLINE:
        return Ineligible(Reason.OFFLINE)
    if declined:
        return Ineligible(Reason.DECLINED)
    slot = driver.free_slot
    return Ineligible(Reason.SLOTS_FULL) if slot is None else Eligible(slot)
