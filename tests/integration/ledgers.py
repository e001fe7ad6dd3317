"""What the integration tests ask of the money and of the whole database afterwards."""

from __future__ import annotations

from uuid import UUID

from flexlive.storage.audit import findings
from tests.support.world import World


async def earned(world: World, delivery_id: UUID | None = None) -> list[tuple[str, int, str]]:
    """(kind, cents, kind of the event that earned it), sorted. The event is always of the delivery's own stream."""
    rows = await world.ctx.pool.fetch(
        "select l.kind, l.amount_cents, e.kind as earned_by, e.stream, l.delivery_id, l.driver_id, r.driver_id as rider"
        " from ledger_entry l join event e on e.market_id = l.market_id and e.event_id = l.event_id"
        " join route r on r.market_id = l.market_id and r.route_id = l.route_id"
        " where $1::uuid is null or l.delivery_id = $1 order by l.kind, l.amount_cents",
        delivery_id,
    )
    for row in rows:
        assert row["stream"] == f"delivery:{row['delivery_id']}"
        assert row["driver_id"] == row["rider"]
    return [(row["kind"], row["amount_cents"], row["earned_by"]) for row in rows]


async def pay(world: World, delivery_id: UUID) -> tuple[int, int]:
    """(base, distance) in cents as the delivery's row has them."""
    row = await world.ctx.pool.fetchrow(
        "select pay_base_cents, pay_distance_cents from delivery where delivery_id = $1", delivery_id
    )
    assert row is not None
    return row["pay_base_cents"], row["pay_distance_cents"]


async def assert_sound(world: World) -> None:
    """No invariant is broken in this market."""
    async with world.ctx.pool.acquire() as conn:
        assert await findings(conn, world.market_id) == []
