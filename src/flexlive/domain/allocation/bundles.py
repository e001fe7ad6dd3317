"""Which waiting deliveries of one site go out as one offer: one check-in, several counters, several doors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from flexlive.domain.allocation.types import DriverView, History, PendingDelivery
from flexlive.domain.door_order import order_doors
from flexlive.domain.drivers import VEHICLE_DEFAULTS, Vehicle, VehicleKind
from flexlive.domain.eligibility import entitled
from flexlive.domain.geography import Point, distance_m
from flexlive.domain.markets import MarketPolicy
from flexlive.domain.offers import OfferShape, OfferStatus

USUAL_VEHICLE: Final = VEHICLE_DEFAULTS[VehicleKind.CAR]
"""What most drivers come with; a bundle has to fit in it. A single delivery need not."""

REFUSED_JOINS_MAX: Final = 8
"""A bundle stops growing after so many candidates that did not go along: a tick of a full market stays short."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """At least one delivery, the most urgent first; several share site, offer type, shape and pilots."""

    deliveries: tuple[PendingDelivery, ...]

    @property
    def delivery_ids(self) -> tuple[UUID, ...]:
        return tuple(each.delivery_id for each in self.deliveries)

    @property
    def site_id(self) -> UUID:
        return self.deliveries[0].site_id

    @property
    def site(self) -> Point:
        return self.deliveries[0].site

    @property
    def site_cell(self) -> int:
        return self.deliveries[0].site_cell

    @property
    def shape(self) -> OfferShape:
        return self.deliveries[0].shape

    @property
    def pickup_deadline_at(self) -> datetime:
        """The earliest."""
        return min(each.pickup_deadline_at for each in self.deliveries)

    @property
    def offer_type(self) -> str:
        return self.deliveries[0].offer_type

    @property
    def package_count(self) -> int:
        return sum(each.package_count for each in self.deliveries)

    @property
    def weight_grams(self) -> int:
        return sum(each.weight_grams for each in self.deliveries)

    @property
    def must_be_upright(self) -> bool:
        return any(each.must_be_upright for each in self.deliveries)

    @property
    def pilots(self) -> frozenset[UUID]:
        return frozenset[UUID]().union(*(each.pilots for each in self.deliveries))


def bundles(
    now: datetime,
    policy: MarketPolicy,
    deliveries: Sequence[PendingDelivery],
    drivers: Sequence[DriverView],
    history: History,
) -> list[Bundle]:
    """Every delivery in exactly one bundle of at most bundle_deliveries_max, in the order of their first ones.

    What may be picked up together is ready, from now on, within bundle_ready_spread_seconds and fits USUAL_VEHICLE. A
    delivery is not joined to others when that makes a customer wait too long whom a driver of their own would reach in
    time, when it leaves nobody in the fleet who could take it, or when nobody wanted its last bundle."""
    if policy.bundle_deliveries_max <= 1:
        return [Bundle((each,)) for each in deliveries]
    join = _Joining(now, policy, drivers, history)
    left = list(deliveries)
    made: list[Bundle] = []
    while left:
        seed = left.pop(0)
        bundle = join.grown(seed, left)
        left = [each for each in left if each not in bundle.deliveries]
        made.append(bundle)
    return made


def late_seconds(now: datetime, policy: MarketPolicy, deliveries: Sequence[PendingDelivery]) -> dict[UUID, float]:
    """How long after the deadline each customer would be reached by one driver who sets out with all of these once the
    last is ready; negative when in time. Customers whose door or deadline is not known are left out."""
    located = [(each, each.door) for each in deliveries if each.door is not None]
    at = max(_ready(now, each) for each in deliveries) + timedelta(seconds=policy.service_site_seconds)
    here = deliveries[0].site
    late: dict[UUID, float] = {}
    for delivery, door in [located[index] for index in order_doors(here, [door for _, door in located])]:
        at += timedelta(seconds=distance_m(here, door) * policy.detour_factor / policy.travel_speed_mps)
        if delivery.dropoff_deadline_at is not None:
            late[delivery.delivery_id] = (at - delivery.dropoff_deadline_at).total_seconds()
        at += timedelta(seconds=policy.service_door_seconds)
        here = door
    return late


class _Joining:
    def __init__(self, now: datetime, policy: MarketPolicy, drivers: Sequence[DriverView], history: History) -> None:
        self._now, self._policy, self._drivers, self._history = now, policy, drivers, history

    def grown(self, seed: PendingDelivery, others: Iterable[PendingDelivery]) -> Bundle:
        """The seed with those that go along with it, the smallest detour first."""
        bundle = Bundle((seed,))
        candidates = [] if self._alone(seed) else [each for each in others if self._together(seed, each)]
        refused = 0
        while candidates and len(bundle.deliveries) < self._policy.bundle_deliveries_max:
            nearest = min(candidates, key=lambda each: _detour_m(bundle, each))
            candidates.remove(nearest)
            joined = Bundle((*bundle.deliveries, nearest))
            if self._allowed(bundle, nearest, joined):
                bundle = joined
            elif (refused := refused + 1) == REFUSED_JOINS_MAX:
                break
        return bundle

    def _together(self, seed: PendingDelivery, other: PendingDelivery) -> bool:
        apart = abs(_ready(self._now, seed) - _ready(self._now, other)).total_seconds()
        near = apart <= self._policy.bundle_ready_spread_seconds
        return near and _kind(seed) == _kind(other) and not self._alone(other)

    def _alone(self, delivery: PendingDelivery) -> bool:
        past = self._history.get(delivery.delivery_id)
        return past is not None and past.last_deliveries > 1 and past.last_status is OfferStatus.EXPIRED

    def _allowed(self, bundle: Bundle, other: PendingDelivery, joined: Bundle) -> bool:
        ready = [_ready(self._now, each) for each in joined.deliveries]
        return (
            (max(ready) - min(ready)).total_seconds() <= self._policy.bundle_ready_spread_seconds
            and fits(joined, USUAL_VEHICLE)
            and self._somebody_left(bundle, Bundle((other,)), joined)
            and self._nobody_made_late(joined)
        )

    def _somebody_left(self, bundle: Bundle, other: Bundle, joined: Bundle) -> bool:
        return self._takers(joined) or not (self._takers(bundle) or self._takers(other))

    def _takers(self, bundle: Bundle) -> bool:
        refused: set[UUID] = set()
        for delivery_id in bundle.delivery_ids:
            past = self._history.get(delivery_id)
            refused |= past.refused_by if past is not None else frozenset()
        return any(each.driver_id not in refused and entitled(bundle, each.state) is None for each in self._drivers)

    def _nobody_made_late(self, joined: Bundle) -> bool:
        late = self._late(joined.deliveries)
        return all(self._late([each]) for each in joined.deliveries if each.delivery_id in late)

    def _late(self, deliveries: Sequence[PendingDelivery]) -> set[UUID]:
        return {each for each, by in late_seconds(self._now, self._policy, deliveries).items() if by > 0}


def fits(bundle: Bundle, vehicle: Vehicle) -> bool:
    """Whether all of it goes into that vehicle."""
    return (
        bundle.package_count <= vehicle.packages_max
        and bundle.weight_grams <= vehicle.weight_grams_max
        and (vehicle.carries_upright or not bundle.must_be_upright)
    )


def _kind(delivery: PendingDelivery) -> tuple[UUID, str, OfferShape, frozenset[UUID]]:
    return delivery.site_id, delivery.offer_type, delivery.shape, delivery.pilots


def _ready(now: datetime, delivery: PendingDelivery) -> datetime:
    # What has been ready for an hour and what is ready now can be picked up together.
    return max(now, delivery.pickup_ready_at)


def _detour_m(bundle: Bundle, other: PendingDelivery) -> float:
    """Great-circle metres from the door to the nearest of the bundle's, or to the site; 0 when it is not known."""
    if other.door is None:
        return 0.0
    doors = [each.door for each in bundle.deliveries if each.door is not None]
    return min(distance_m(other.door, each) for each in doors or [bundle.site])
