"""What a piece of work pays: quoted before it is accepted, and written to the ledger when it is earned."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import floor
from uuid import UUID

import msgspec


class LedgerKind(StrEnum):
    BASE = "base"
    DISTANCE = "distance"
    WAIT = "wait"
    TIP = "tip"
    RETURN = "return"
    PARTIAL = "partial"
    ADJUSTMENT = "adjustment"


class PayRule(msgspec.Struct, frozen=True, kw_only=True):
    """An offer type's pay, stored as jsonb. All amounts in cents of the market's currency.

    base_cents covers the first delivery; delivery_cents each further one."""

    base_cents: int = 500
    delivery_cents: int = 250
    package_cents: int = 25
    km_cents: int = 60
    minimum_cents: int = 700
    wait_rate_cents_per_minute: int = 25

    def __post_init__(self) -> None:
        if min(msgspec.structs.astuple(self)) < 0:
            raise ValueError("a pay rule has no negative amounts")


@dataclass(frozen=True, slots=True)
class Pay:
    """What an offer promises. base_cents contains the distance; tips go to the driver in full."""

    base_cents: int
    tip_cents: int
    wait_rate_cents_per_minute: int


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """delivery_id: None for rows about the whole route."""

    kind: LedgerKind
    amount_cents: int
    delivery_id: UUID | None = None


def quote(rule: PayRule, *, distance_m: float, deliveries: int, packages: int, tip_cents: int) -> Pay:
    """The pay of a route of that length by road, from the site to the last door."""
    work = rule.base_cents + rule.delivery_cents * max(0, deliveries - 1) + rule.package_cents * packages
    # Half a cent goes to the driver.
    distance = floor(rule.km_cents * max(0.0, distance_m) / 1000 + 0.5)
    return Pay(max(rule.minimum_cents, work + distance), tip_cents, rule.wait_rate_cents_per_minute)


def route_rows(base_cents: int, tips_cents: Mapping[UUID, int], delivered: Collection[UUID]) -> list[LedgerRow]:
    """What completing a route earns: the base once, and the tip of each delivery that reached its customer."""
    rows = [LedgerRow(LedgerKind.BASE, base_cents)] if base_cents else []
    rows += [
        LedgerRow(LedgerKind.TIP, cents, delivery_id)
        for delivery_id, cents in sorted(tips_cents.items())
        if cents and delivery_id in delivered
    ]
    return rows
