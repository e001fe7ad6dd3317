"""Where the relay stands: after a restore into another cluster, at its first start, in the plan of its query."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from flexlive.realtime.buses.memory import MemoryBus
from flexlive.realtime.chain import FactRow
from flexlive.realtime.receiver import ChainSubscriber
from flexlive.storage import events, leases, relay
from flexlive.storage.pool import Pool
from flexlive.workers.fact_source import DatabaseFacts
from tests.integration.event_world import append_one, lock_drivers, new_event
from tests.support.relay import BY_WAKE, leading, until


async def restored_elsewhere(pool: Pool, xid: int) -> None:
    """As after a restore: the rows' xids and the stored identifier are another cluster's."""
    await pool.execute("update event set xid = $1::xid8", xid)
    await pool.execute("update relay_position set system_identifier = 1, xid = $1::xid8, event_id = 1, term = 9", xid)


@pytest.mark.parametrize("foreign_xid", [3, 4_000_000_000_000], ids=["older cluster", "younger cluster"])
async def test_after_a_restore_old_rows_are_done_and_new_ones_flow(
    pool: Pool, bus: MemoryBus, market_id: str, drivers: list[uuid.UUID], foreign_xid: int
) -> None:
    await relay.ensure_position(pool, market_id)
    async with pool.acquire() as connection:
        for _ in range(3):
            await append_one(connection, market_id, drivers[0])
        await restored_elsewhere(pool, foreign_xid)
        got: list[FactRow] = []
        subscriber = ChainSubscriber(market_id, bus, DatabaseFacts(pool, market_id), got.append)
        await subscriber.start()
        working = await leading(pool, bus, market_id, "me", BY_WAKE)
        await append_one(connection, market_id, drivers[0])
        await append_one(connection, market_id, drivers[1])
        working.wake(market_id)
        await until(lambda: len(got) == 2)
    await subscriber.stop()
    await working.stop()
    assert [(fact.stream, fact.seq) for fact in got] == [(f"driver:{drivers[0]}", 4), (f"driver:{drivers[1]}", 1)]
    assert len((await relay.final_events(pool, market_id, (0, 0), 10)).events) == 2


async def test_a_rebase_waits_for_writers_in_flight(pool: Pool, market_id: str, drivers: list[uuid.UUID]) -> None:
    """A fact appended but not yet committed while the base is taken must not fall below it."""
    async with pool.acquire() as writer:
        transaction = writer.transaction()
        await transaction.__aenter__()
        await lock_drivers(writer, market_id, drivers[:1])
        (written,) = await events.append(writer, market_id, [new_event(drivers[0])])
        rebasing = asyncio.create_task(relay.ensure_position(pool, market_id))
        await asyncio.sleep(0.1)
        assert not rebasing.done()
        await transaction.__aexit__(None, None, None)
        await rebasing
        assert await pool.fetchval("select base_event_id from relay_position") == written.event_id
        after = await append_one(writer, market_id, drivers[0])
    head = await relay.head(pool, market_id)
    assert head.cursor[1] == after.event_id


async def test_positions_are_made_once(pool: Pool, market_id: str) -> None:
    made = await asyncio.gather(*(relay.ensure_position(pool, market_id) for _ in range(8)))
    assert len(set(made)) == 1


async def test_reading_uses_the_relay_index(pool: Pool, market_id: str, drivers: list[uuid.UUID]) -> None:
    await relay.ensure_position(pool, market_id)
    await pool.execute(
        "insert into event (market_id, stream, seq, kind, occurred_at, received_at, actor_type, data) "
        "select $1, 'driver:' || $2::uuid, n, 'k', now(), now(), 'system', '{}' from generate_series(1, 20000) n",
        market_id,
        drivers[0],
    )
    await pool.execute("analyze event")
    async with pool.acquire() as connection:
        await connection.execute("set plan_cache_mode = force_generic_plan")
        for query, values in (
            ("final_events", (market_id, 3, 0, 500)),
            ("events_between", (market_id, 3, 0, 4, 0, 500)),
        ):
            sql = getattr(relay._sql, query).sql
            plan = "\n".join(row[0] for row in await connection.fetch(f"explain {sql}", *values))
            assert "event_relay_idx" in plan
            assert "Seq Scan" not in plan.replace("Seq Scan on relay_position", "")
            assert "Sort" not in plan.split("->  Limit")[-1]


async def test_leases_of_a_stopped_relay_are_free(pool: Pool, bus: MemoryBus, market_id: str) -> None:
    working = await leading(pool, bus, market_id, "me", BY_WAKE)
    await working.stop()
    taken = await leases.acquire(pool, market_id, "relay", "next", 5)
    assert taken is not None
    assert taken.term == 2
