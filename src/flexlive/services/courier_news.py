"""What a position means to the one customer it concerns: the cell, the expected arrival, and – once – that the driver
is about to be there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
import structlog

from flexlive.domain import cells
from flexlive.domain.deliveries import DeliveryStatus
from flexlive.domain.eta import arrival_window
from flexlive.domain.geography import Point, distance_m
from flexlive.domain.markets import MarketPolicy
from flexlive.protocol.customer import Arrival
from flexlive.realtime.legs import Leg
from flexlive.services.causes import by_system
from flexlive.services.context import Context
from flexlive.storage import tracking
from flexlive.storage.events import append
from flexlive.storage.transaction import transaction

_log = structlog.get_logger()


NEAR_RESOLUTION: Final = 12


class CourierNews(msgspec.Struct, frozen=True, gc=False):
    """What travels between processes about one customer's courier; ephemeral, newest wins. eta: only when it has
    changed enough to be told."""

    delivery_id: str
    cell: str
    eta: Arrival | None = None


def positions_topic(market_id: str) -> str:
    return f"positions.{market_id}"


def told(news: CourierNews) -> Iterator[tuple[str, bytes]]:
    """The customer's events: name and data."""
    yield "courier", msgspec.json.encode({"cell": news.cell})
    if news.eta is not None:
        yield "eta", msgspec.json.encode(news.eta)


def customer_cell(here: Point, door: Point, policy: MarketPolicy) -> int:
    """What the customer may know of a place: a coarse cell, near the door a fine one, never the point."""
    near = distance_m(door, here) <= policy.customer_exact_within_m
    return cells.cell_of(here.lat, here.lon, NEAR_RESOLUTION if near else policy.customer_cell_resolution)


def arrival(expected_at: datetime, now: datetime, policy: MarketPolicy) -> Arrival:
    """An expected arrival as the customer is told of it; one that has passed is expected any moment."""
    arrives_at = max(expected_at, now)
    return Arrival(arrives_at, *arrival_window(arrives_at, now, policy))


async def set_imminent(ctx: Context, market_id: str, driver_id: UUID, delivery_id: UUID, at: datetime) -> bool:
    """Write `courier_imminent` and tell the customer. True when this call did; False when it was written before, or
    the driver is not (any more) on the way to that door."""
    status = DeliveryStatus.ENROUTE_TO_DROPOFF.value
    async with transaction(ctx.pool) as conn:
        first_name = await tracking.set_courier_imminent(conn, market_id, delivery_id, driver_id, status)
        if first_name is None:
            return False
        shown = {"status": status, "at": at, "courier": {"first_name": first_name}, "courier_imminent": True}
        await append(conn, market_id, [by_system(at).event("track", delivery_id, "track.courier_imminent", shown)])
    ctx.committed(market_id)
    return True


async def say_imminent(ctx: Context, market_id: str, driver_id: UUID, leg: Leg, at: datetime) -> None:
    """The same beside what goes on, for ctx.spawn: a failure is logged, and the next position says it again."""
    assert leg.delivery_id is not None
    try:
        await set_imminent(ctx, market_id, driver_id, leg.delivery_id, at)
    except Exception as error:
        leg.imminent_told = False
        _log.warning("imminent_not_written", market_id=market_id, error=repr(error))
