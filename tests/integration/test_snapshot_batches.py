"""Phones that come back together share their queries."""

import asyncio
from uuid import uuid4

from flexlive.services.drivers import SnapshotAsk
from flexlive.web import snapshot_batches
from flexlive.web.snapshot_batches import SnapshotBatches
from tests.support.world import World


async def test_a_storm_of_asks_becomes_few_bounded_queries(world: World):
    await world.add_drivers(150)
    before = snapshot_batches._QUERIES._value.get()
    batches = SnapshotBatches(world.ctx)
    asks = [SnapshotAsk(driver.driver_id) for driver in world.drivers]
    # The same driver twice, as in a takeover, and one nobody knows.
    asks += [asks[0], SnapshotAsk(uuid4())]
    answers = await asyncio.gather(*(batches.read(world.market_id, ask) for ask in asks))
    assert [answer is not None for answer in answers] == [True] * 151 + [False]
    assert all(answer.presence == "online" and answer.position is not None for answer in answers if answer)
    assert snapshot_batches._QUERIES._value.get() - before == 3


async def test_an_ask_whose_socket_has_gone_costs_nobody_anything(world: World):
    await world.add_drivers(2)
    batches = SnapshotBatches(world.ctx)
    gone, there = (
        asyncio.create_task(batches.read(world.market_id, SnapshotAsk(driver.driver_id))) for driver in world.drivers
    )
    await asyncio.sleep(0)
    gone.cancel()
    assert await there is not None


async def test_a_failed_query_is_each_askers_own_failure(world: World):
    await world.add_drivers(2)
    batches = SnapshotBatches(world.ctx)
    await world.ctx.pool.close()
    reads = [batches.read(world.market_id, SnapshotAsk(driver.driver_id)) for driver in world.drivers]
    answers = await asyncio.gather(*reads, return_exceptions=True)
    assert all(isinstance(answer, Exception) for answer in answers)
