"""Where each driver is heading: the next stop of the active route, kept from route facts, so that a position can be
judged without asking the database."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from flexlive.domain.geography import Point
from flexlive.protocol.views import RouteView, StopView

LEGS_MAX: Final = 200_000
"""Drivers with a leg in one process; beyond it the oldest is forgotten and costs that driver only the crossing."""


@dataclass(slots=True)
class Leg:
    """The way to one stop. origin: the first position seen on it; asked: a crossing is being written."""

    route_id: UUID
    stop_id: UUID
    kind: Literal["site", "store", "door"]
    arrived: bool
    point: Point
    radius_m: int
    delivery_id: UUID | None
    origin: Point | None = None
    asked: bool = False
    eta_told: datetime | None = field(default=None)
    imminent_told: bool = False


class Legs:
    """One per process, touched from its event loop only."""

    __slots__ = ("_by_driver",)

    def __init__(self) -> None:
        self._by_driver: dict[tuple[str, UUID], Leg] = {}

    def get(self, market_id: str, driver_id: UUID) -> Leg | None:
        return self._by_driver.get((market_id, driver_id))

    def apply(self, market_id: str, driver_id: UUID, route: RouteView) -> None:
        """A route as it is now; one that has ended, or has no open stop, ends the leg."""
        key = (market_id, driver_id)
        known = self._by_driver.get(key)
        stop = _next_stop(route)
        if route.status != "active" or stop is None:
            if known is not None and known.route_id == route.route_id:
                del self._by_driver[key]
            return
        if known is not None and known.stop_id == stop.stop_id:
            known.arrived = stop.status == "arrived"
            return
        if known is None and len(self._by_driver) >= LEGS_MAX:
            del self._by_driver[next(iter(self._by_driver))]
        self._by_driver[key] = Leg(
            route_id=route.route_id,
            stop_id=stop.stop_id,
            kind=_kind(stop),
            arrived=stop.status == "arrived",
            point=Point(stop.lat, stop.lon),
            radius_m=stop.geofence_radius_m,
            delivery_id=stop.deliveries[0].delivery_id if stop.kind == "door" and stop.deliveries else None,
        )


def _next_stop(route: RouteView) -> StopView | None:
    return next((stop for stop in route.stops if stop.status in ("pending", "arrived")), None)


def _kind(stop: StopView) -> Literal["site", "store", "door"]:
    match stop.kind:
        case "site":
            return "site"
        case "store":
            return "store"
        case _:
            return "door"
