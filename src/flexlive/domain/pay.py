"""What a piece of work pays: quoted before it is accepted, written to the ledger, delivery by delivery, when earned."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import ceil, floor
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from flexlive.domain.deliveries import DeliveryStatus


class LedgerKind(StrEnum):
    BASE = "base"
    DISTANCE = "distance"
    WAIT = "wait"
    TIP = "tip"
    RETURN = "return"
    PARTIAL = "partial"
    ADJUSTMENT = "adjustment"


Cents = Annotated[int, Meta(ge=0, le=1_000_000)]
"""Of one rate or fee: no sum of them leaves the database's numbers."""


class PayRule(msgspec.Struct, frozen=True, kw_only=True):
    """An offer type's pay, stored as jsonb. All amounts in cents of the market's currency.

    base_cents covers the first delivery, delivery_cents each further one; return_base_cents and return_km_cents are
    for bringing one delivery back."""

    base_cents: Cents = 500
    delivery_cents: Cents = 250
    package_cents: Cents = 25
    km_cents: Cents = 60
    minimum_cents: Cents = 700
    wait_rate_cents_per_minute: Cents = 25
    return_base_cents: Cents = 300
    return_km_cents: Cents = 60

    def __post_init__(self) -> None:
        if min(msgspec.structs.astuple(self)) < 0:
            raise ValueError("a pay rule has no negative amounts")


@dataclass(frozen=True, slots=True)
class Pay:
    """What an offer promises. base_cents contains distance_cents; tips go to the driver in full."""

    base_cents: int
    tip_cents: int
    wait_rate_cents_per_minute: int
    distance_cents: int = 0


@dataclass(frozen=True, slots=True)
class DeliveryPay:
    """What one delivery earns the driver who brings it. base_cents is without the distance here."""

    base_cents: int
    distance_cents: int


@dataclass(frozen=True, slots=True)
class LedgerRow:
    kind: LedgerKind
    amount_cents: int


def quote(rule: PayRule, *, distance_m: float, deliveries: int, packages: int, tip_cents: int) -> Pay:
    """The pay of a route of that length by road, from the site to the last door."""
    work = rule.base_cents + rule.delivery_cents * max(0, deliveries - 1) + rule.package_cents * packages
    distance = _cents(rule.km_cents * max(0.0, distance_m) / 1000)
    return Pay(max(rule.minimum_cents, work + distance), tip_cents, rule.wait_rate_cents_per_minute, distance)


def split_pay(base_cents: int, distance_cents: int, deliveries: int) -> list[DeliveryPay]:
    """An offer's pay divided over its deliveries, to the cent; remainders go to the first."""
    if not 0 <= distance_cents <= base_cents or deliveries < 1:
        raise ValueError("distance is a part of the base, and there is something to divide it over")
    work = _split(base_cents - distance_cents, deliveries)
    return [
        DeliveryPay(base, distance) for base, distance in zip(work, _split(distance_cents, deliveries), strict=True)
    ]


def return_cents(rule: PayRule, distance_m: float) -> int:
    """For bringing one delivery back that far by road."""
    return rule.return_base_cents + _cents(rule.return_km_cents * max(0.0, distance_m) / 1000)


def partial_cents(pay: DeliveryPay, share: float) -> int:
    """For work that was begun and ended by someone else."""
    return _cents(share * (pay.base_cents + pay.distance_cents))


def wait_cents(
    rate_cents_per_minute: int, waited_seconds: float, free_seconds: float, *, time_scale: float = 1.0
) -> int:
    """Every minute begun beyond the free ones. Seconds on the clock of a world that runs time_scale times faster."""
    beyond = max(0.0, waited_seconds - free_seconds) * time_scale
    return rate_cents_per_minute * ceil(beyond / 60)


def ended_rows(
    status: DeliveryStatus,
    pay: DeliveryPay,
    *,
    tip_cents: int = 0,
    return_cents: int = 0,
    checked_in: bool = False,
    partial_share: float = 0.0,
) -> list[LedgerRow]:
    """What a delivery that has just come to this status earns its driver; checked_in: cancelled after arrival."""
    rows: list[LedgerRow] = []
    if status in _BROUGHT:
        rows = [LedgerRow(LedgerKind.BASE, pay.base_cents), LedgerRow(LedgerKind.DISTANCE, pay.distance_cents)]
    if status is DeliveryStatus.DELIVERED:
        rows.append(LedgerRow(LedgerKind.TIP, tip_cents))
    elif status is DeliveryStatus.RETURNED:
        rows.append(LedgerRow(LedgerKind.RETURN, return_cents))
    elif status is DeliveryStatus.CANCELLED and checked_in:
        rows.append(LedgerRow(LedgerKind.PARTIAL, partial_cents(pay, partial_share)))
    return [row for row in rows if row.amount_cents]


_BROUGHT: Final = frozenset({DeliveryStatus.DELIVERED, DeliveryStatus.DISPOSED, DeliveryStatus.RETURNED})


def _cents(amount: float) -> int:
    # Half a cent goes to the driver.
    return floor(amount + 0.5)


def _split(total: int, parts: int) -> list[int]:
    each, left = divmod(total, parts)
    return [each + (index < left) for index in range(parts)]
