"""Drivers, their vehicles and their slots."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID


class DriverStatus(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    DEACTIVATED = "deactivated"


class Presence(StrEnum):
    ONLINE = "online"
    OFFLINE = "offline"


class VehicleKind(StrEnum):
    CAR = "car"
    SUV = "suv"
    VAN = "van"
    BIKE = "bike"
    SCOOTER = "scooter"


SLOTS_MAX: Final = 8
"""The most routes any driver may have at once, whatever routes_active_max says."""


@dataclass(frozen=True, slots=True)
class Vehicle:
    packages_max: int
    weight_grams_max: int
    carries_upright: bool


VEHICLE_DEFAULTS: Final = {
    VehicleKind.CAR: Vehicle(packages_max=12, weight_grams_max=150_000, carries_upright=True),
    VehicleKind.SUV: Vehicle(packages_max=18, weight_grams_max=250_000, carries_upright=True),
    VehicleKind.VAN: Vehicle(packages_max=40, weight_grams_max=600_000, carries_upright=True),
    VehicleKind.BIKE: Vehicle(packages_max=2, weight_grams_max=12_000, carries_upright=False),
    VehicleKind.SCOOTER: Vehicle(packages_max=4, weight_grams_max=25_000, carries_upright=False),
}
"""What usually fits, for a driver signed up without measures."""


@dataclass(frozen=True, slots=True)
class DriverState:
    """What a decision about a driver reads.

    enrolled: offer types with an active enrolment under the present terms and every document in force.
    pilots: those in whose cohort the driver is. slots_used: slots of active routes.
    declined: offers this driver declined or forfeited. vehicle: None when none is registered.
    """

    driver_id: UUID
    status: DriverStatus
    presence: Presence
    enrolled: frozenset[str]
    vehicle: Vehicle | None
    slots_used: frozenset[int] = frozenset()
    routes_active_max: int = 1
    declined: frozenset[UUID] = frozenset()
    pilots: frozenset[UUID] = frozenset()

    @property
    def free_slot(self) -> int | None:
        """The lowest slot for another route; None when all are used."""
        slots = range(1, min(self.routes_active_max, SLOTS_MAX) + 1)
        return next((slot for slot in slots if slot not in self.slots_used), None)
