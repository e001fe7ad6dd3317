"""What will be played: drivers, orders and how people move, as plain values. Pilot malls and real days end here."""

from __future__ import annotations

import math
from enum import StrEnum

from msgspec import Struct

from flexlive.lab.doors import Door
from flexlive.lab.geo import Place
from flexlive.protocol.merchant import ServiceLevelName, UndeliverableAction


class Travel(Struct, frozen=True, kw_only=True):
    """How a car moves, before the time scale: straight line × detour at metres_per_second, rounded up.

    The four visit times are spent standing: before and after the hand-over, at the site and at the door.
    """

    metres_per_second: float
    detour: float = 1.0
    round_up_seconds: float = 0.0
    pickup_before_seconds: float
    pickup_after_seconds: float
    dropoff_before_seconds: float
    dropoff_after_seconds: float

    def seconds(self, distance_m: float) -> float:
        """Policy seconds for a straight line of so many metres."""
        seconds = distance_m * self.detour / self.metres_per_second
        if self.round_up_seconds > 0:
            return math.ceil(seconds / self.round_up_seconds) * self.round_up_seconds
        return seconds


class Habits(Struct, frozen=True, kw_only=True):
    """How drivers decide. Eager ones take all they can; others a share U(accept_low, 1) · exp(-km / accept_km).

    think: seconds (before the time scale) a person looks at an offer. returns_to_site: idle cars drift back to a mall.
    """

    eager: bool
    accept_low: float = 0.4
    accept_km: float = 8.0
    think_seconds_min: float = 2.0
    think_seconds_max: float = 20.0
    returns_to_site: bool = True


class DriverPlan(Struct, frozen=True, kw_only=True):
    """on_seconds, off_seconds: wall seconds after the start of ordering; 0 or less means from the beginning.

    enrolled: from the beginning; others wait for a notice that invites them, and may opt in.
    """

    market_id: str
    first_name: str
    start: Place
    on_seconds: float = 0.0
    off_seconds: float | None = None
    enrolled: bool = True


class Mishap(StrEnum):
    """What goes wrong with an order on purpose; each ends in another way."""

    PARTIAL_PICKUP = "partial_pickup"
    CUSTOMER_UNAVAILABLE = "customer_unavailable"
    CUSTOMER_REFUSED = "customer_refused"
    LEFT_AT_DOOR = "left_at_door"
    FORFEIT = "forfeit"
    MERCHANT_CANCELS = "merchant_cancels"
    BREAKDOWN = "breakdown"


class OrderPlan(Struct, frozen=True, kw_only=True):
    """at_seconds: wall seconds after the start of ordering. prep_seconds: wall seconds from order to ready."""

    at_seconds: float
    external_delivery_id: str
    external_store_id: str
    service_level: ServiceLevelName
    prep_seconds: float
    door: Door
    contact_name: str
    packages: int = 1
    tip_cents: int = 0
    pincode: bool = False
    photo: bool = False
    undeliverable_action: UndeliverableAction = "return_to_pickup"
    mishap: Mishap | None = None


class Scenario(Struct, frozen=True, kw_only=True):
    """A whole play. order_seconds: wall length of the ordering phase; scale: policy seconds per wall second.

    pilot: one retailer's offers are a pilot, with a notice and a report.
    """

    name: str
    scale: float
    order_seconds: float
    travel: Travel
    habits: Habits
    drivers: tuple[DriverPlan, ...]
    orders: tuple[OrderPlan, ...]
    pilot: bool = False
