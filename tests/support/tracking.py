"""Moves a delivery along its way without a driver's phone, with the same facts a phone would cause."""

from __future__ import annotations

from uuid import UUID, uuid4

from flexlive.domain.deliveries import DeliveryStatus
from flexlive.protocol.merchant import DeliveryCreated
from flexlive.services.causes import by_system
from flexlive.services.delivery_events import delivery_events
from flexlive.storage.events import append
from tests.support.world import World

THE_WAY = (
    DeliveryStatus.CONFIRMED,
    DeliveryStatus.ENROUTE_TO_PICKUP,
    DeliveryStatus.ARRIVED_AT_PICKUP,
    DeliveryStatus.PICKED_UP,
    DeliveryStatus.ENROUTE_TO_DROPOFF,
    DeliveryStatus.ARRIVED_AT_DROPOFF,
    DeliveryStatus.DELIVERED,
)


def token_of(created: DeliveryCreated) -> str:
    return created.tracking_url.rsplit("/", 1)[1]


async def move(
    world: World, delivery_id: UUID, status: DeliveryStatus, driver_id: UUID, first_name: str = "Zoltan"
) -> None:
    """One step, written as services write it."""
    now = world.ctx.clock()
    async with world.ctx.pool.acquire() as conn, conn.transaction():
        row = await conn.fetchrow(
            """update delivery set status = $3, status_at = $4, version = version + 1, driver_id = $5, route_id = $6
               where market_id = $1 and delivery_id = $2
               returning delivery_id, status, readiness, version""",
            world.market_id,
            delivery_id,
            status.value,
            now,
            driver_id,
            uuid4(),
        )
        assert row is not None
        await append(conn, world.market_id, delivery_events(row, driver_id, first_name, by_system(now)))
    world.ctx.committed(world.market_id)
