"""A route's stops: planning them from deliveries, and which one is next."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from flexlive.domain.door_order import order_doors
from flexlive.domain.geography import Point


class StopKind(StrEnum):
    SITE = "site"
    STORE = "store"
    DOOR = "door"
    RETURN = "return"
    HANDOVER = "handover"


class StopStatus(StrEnum):
    PENDING = "pending"
    ARRIVED = "arrived"
    DONE = "done"
    SKIPPED = "skipped"


class RouteStatus(StrEnum):
    ACTIVE = "active"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FORFEITED = "forfeited"


_S = StopStatus
STOP_TRANSITIONS: Final[tuple[tuple[StopStatus, StopStatus], ...]] = (
    (_S.PENDING, _S.ARRIVED),
    (_S.PENDING, _S.DONE),
    (_S.PENDING, _S.SKIPPED),
    (_S.ARRIVED, _S.DONE),
    (_S.ARRIVED, _S.SKIPPED),
)
STOP_ENDED: Final = frozenset({_S.DONE, _S.SKIPPED})


@dataclass(frozen=True, slots=True)
class PlanSite:
    """point: the entrance where drivers stop."""

    site_id: UUID
    point: Point
    geofence_radius_m: int


@dataclass(frozen=True, slots=True)
class PlanStore:
    """A counter at the site; unit and floor give the walking order."""

    store_id: UUID
    floor: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class PlanDelivery:
    delivery_id: UUID
    store_id: UUID
    door: Point


@dataclass(frozen=True, slots=True)
class StopPlan:
    """One stop to be stored; sequence counts from 1 without gaps."""

    sequence: int
    kind: StopKind
    point: Point
    geofence_radius_m: int
    delivery_ids: tuple[UUID, ...]
    site_id: UUID | None = None
    store_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class StopState:
    """What the step functions read of a stored stop. delivery_ids: those that are still this stop's business – on
    this route now, or at a hand-over waiting to be taken over. store_id: of a counter, or of a return to one."""

    stop_id: UUID
    sequence: int
    kind: StopKind
    status: StopStatus
    delivery_ids: tuple[UUID, ...]
    store_id: UUID | None = None


def plan_stops(
    deliveries: Sequence[PlanDelivery], site: PlanSite, stores: Iterable[PlanStore], *, door_radius_m: int = 60
) -> list[StopPlan]:
    """The site, then its stores in walking order, then the doors by shortest path from the site.

    deliveries: at least one, all from stores of that site; ValueError otherwise."""
    by_store: dict[UUID, list[UUID]] = {}
    for delivery in deliveries:
        by_store.setdefault(delivery.store_id, []).append(delivery.delivery_id)
    walk = sorted((store for store in stores if store.store_id in by_store), key=_walking_key)
    if not deliveries or len(walk) != len(by_store):
        raise ValueError("every delivery needs its store among the stores of the site")
    everything = tuple(delivery.delivery_id for delivery in deliveries)
    plans = [StopPlan(1, StopKind.SITE, site.point, site.geofence_radius_m, everything, site_id=site.site_id)]
    for store in walk:
        ids = tuple(by_store[store.store_id])
        plans.append(
            StopPlan(
                len(plans) + 1, StopKind.STORE, site.point, site.geofence_radius_m, ids, site.site_id, store.store_id
            )
        )
    for index in order_doors(site.point, [delivery.door for delivery in deliveries]):
        delivery = deliveries[index]
        plans.append(StopPlan(len(plans) + 1, StopKind.DOOR, delivery.door, door_radius_m, (delivery.delivery_id,)))
    return plans


def next_stop(stops: Iterable[StopState]) -> StopState | None:
    """The first stop that has not ended; None when all have."""
    return min((stop for stop in stops if stop.status not in STOP_ENDED), key=lambda stop: stop.sequence, default=None)


def _walking_key(store: PlanStore) -> tuple[list[tuple[int, int, str]], list[tuple[int, int, str]], str]:
    return _natural(store.floor), _natural(store.unit), str(store.store_id)


def _natural(text: str) -> list[tuple[int, int, str]]:
    # Unit 9 comes before unit 12; digits before letters.
    parts = re.findall(r"[0-9]+|[^0-9]+", text[:64])
    return [(0, int(part), "") if part[0] in "0123456789" else (1, 0, part.casefold()) for part in parts]
