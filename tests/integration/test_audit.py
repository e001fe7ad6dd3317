"""The audit on a real database: silent after real work, and each kind of damage turns it red."""

from __future__ import annotations

import pytest

from flexlive.storage import audit
from flexlive.storage.pool import Pool
from tests.support.dispatch import dispatch, open_offer_ids
from tests.support.world import World, accept_item, build_world, open_test_context


async def accepted_order(world: World) -> None:
    """One order, offered and won by the first driver."""
    await world.order()
    await dispatch(world.ctx, world.market_id)
    [offer_id] = await open_offer_ids(world.ctx, world.market_id)
    item = accept_item(world.drivers[0], offer_id)
    await world.ctx.group_commit.submit(world.market_id, world.drivers[0].driver_id, item)


async def damaged(pool: Pool, statement: str) -> None:
    """Runs a statement that constraints would refuse: whoever damages a database has gone around them."""
    async with pool.acquire() as conn:
        await conn.execute("set session_replication_role = replica")
        await conn.execute(statement)
        await conn.execute("set session_replication_role = origin")


async def test_real_work_leaves_nothing_to_find(database_url: str) -> None:
    async with open_test_context(database_url) as ctx:
        world = await build_world(ctx, drivers=1)
        await accepted_order(world)
        await world.order()
        assert await audit.markets(ctx.pool) == [world.market_id]
        assert await audit.findings(ctx.pool, world.market_id) == []
        [offer_id] = await audit.offers_opened(ctx.pool, world.market_id)
        assert await audit.wins(ctx.pool, world.market_id) == {offer_id: world.drivers[0].driver_id}
        first, second = await audit.deliveries(ctx.pool, world.market_id)
        assert (first.status, first.route_status, first.offer_status) == ("confirmed", "active", "accepted")
        assert (second.status, second.route_status, second.offer_status, second.track_seq) == ("created", None, None, 1)


@pytest.mark.parametrize(
    ("statement", "check"),
    [
        (
            "drop index route_one_per_offer_key; insert into route (market_id, route_id, driver_id, offer_id, status, "
            "created_at, ended_at) select market_id, gen_random_uuid(), driver_id, offer_id, 'cancelled', now(), now() "
            "from route",
            "offers_with_several_routes",
        ),
        ("delete from event where stream like 'offer:%' and seq = 1", "streams_with_gaps"),
        ("update event set seq = seq + 100 where stream like 'track:%'", "streams_with_gaps"),
        ("update delivery set track_seq = track_seq + 1", "counters_apart_from_streams"),
        ("delete from event where stream like 'route:%'", "counters_apart_from_streams"),
        ("update package set custody = 'held'", "packages_apart_from_deliveries"),
        ("update delivery set status = 'delivered'", "packages_apart_from_deliveries"),
        ("update slot set active = false", "slots_apart_from_routes"),
        ("update route set status = 'completed', ended_at = now()", "slots_apart_from_routes"),
    ],
)
async def test_each_kind_of_damage_is_found(database_url: str, statement: str, check: str) -> None:
    async with open_test_context(database_url) as ctx:
        world = await build_world(ctx, drivers=1)
        await accepted_order(world)
        await damaged(ctx.pool, statement)
        findings = await audit.findings(ctx.pool, world.market_id)
        assert check in {finding.check for finding in findings}, findings
        assert all(finding.row for finding in findings)
