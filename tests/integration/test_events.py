"""Appending: gap-free streams, input order, both counters of a delivery, and the law the relay stands on."""

from __future__ import annotations

import asyncio
import random
import uuid

import pytest

from flexlive.storage import events
from flexlive.storage.pool import Pool
from tests.integration.event_world import add_delivery, add_drivers, add_market, lock_drivers, new_event

# The law of the event table; nothing may ever be returned.
LAW = """
select e.stream, e.seq from event e
left join event p on p.market_id = e.market_id and p.stream = e.stream and p.seq = e.seq - 1
where e.seq > 1 and (p.seq is null or e.xid < p.xid or e.event_id < p.event_id)
"""


async def test_numbers_each_stream_without_gap_in_input_order(pool: Pool) -> None:
    market_id = await add_market(pool)
    first, second = await add_drivers(pool, market_id, 2)
    async with pool.acquire() as connection, connection.transaction():
        one = await events.append(
            connection, market_id, [new_event(d, n=n) for n, d in enumerate([first, second, first])]
        )
        two = await events.append(connection, market_id, [new_event(first, n=3)])
    assert [(a.stream, a.seq) for a in one] == [(f"driver:{first}", 1), (f"driver:{second}", 1), (f"driver:{first}", 2)]
    assert [(a.stream, a.seq) for a in two] == [(f"driver:{first}", 3)]
    stored = await pool.fetch("select event_id, data from event order by event_id")
    assert [row["event_id"] for row in stored] == [a.event_id for a in one + two]
    assert [row["data"] for row in stored] == [{"n": n} for n in range(4)]
    assert await pool.fetchval("select last_seq from driver where driver_id = $1", first) == 3


async def test_no_events_touch_nothing(pool: Pool) -> None:
    async with pool.acquire() as connection:
        assert await events.append(connection, "nowhere", []) == []


async def test_hundreds_of_events_keep_input_order_whatever_the_plan(pool: Pool) -> None:
    market_id = await add_market(pool)
    drivers = await add_drivers(pool, market_id, 120)
    shuffle = random.Random(3)
    async with pool.acquire() as connection:
        for plan in ("force_custom_plan", "force_generic_plan"):
            await connection.execute(f"set plan_cache_mode = {plan}")
            batch = [new_event(shuffle.choice(drivers), n=n) for n in range(600)]
            async with connection.transaction():
                appended = await events.append(connection, market_id, batch)
            assert [a.stream for a in appended] == [f"driver:{event.entity_id}" for event in batch]
            assert [a.event_id for a in appended] == sorted(a.event_id for a in appended)
            stored = await connection.fetch(
                "select (data->>'n')::int from event where event_id >= $1 order by event_id", appended[0].event_id
            )
            assert [row[0] for row in stored] == list(range(600))
    assert await pool.fetch(LAW) == []


async def test_delivery_and_track_are_two_streams_of_one_row(pool: Pool) -> None:
    market_id = await add_market(pool)
    delivery, offer, route = await add_delivery(pool, market_id)
    async with pool.acquire() as connection, connection.transaction():
        appended = await events.append(
            connection,
            market_id,
            [
                new_event(delivery, "delivery"),
                new_event(delivery, "track"),
                new_event(offer, "offer"),
                new_event(delivery, "track"),
                new_event(route, "route"),
                new_event(route, "route"),
            ],
        )
    assert [(a.stream, a.seq) for a in appended] == [
        (f"delivery:{delivery}", 1),
        (f"track:{delivery}", 1),
        (f"offer:{offer}", 1),
        (f"track:{delivery}", 2),
        (f"route:{route}", 1),
        (f"route:{route}", 2),
    ]
    row = await pool.fetchrow("select last_seq, track_seq from delivery")
    assert row is not None
    assert tuple(row) == (1, 2)


async def test_a_missing_entity_writes_nothing(pool: Pool) -> None:
    market_id = await add_market(pool)
    (driver,) = await add_drivers(pool, market_id, 1)
    async with pool.acquire() as connection:
        for missing in (new_event(uuid.uuid4()), new_event(driver, "route")):
            with pytest.raises(events.EntityMissingError):
                async with connection.transaction():
                    await events.append(connection, market_id, [new_event(driver), missing])
        with pytest.raises(events.EntityMissingError):
            await events.append(connection, "tysons", [new_event(driver)])
    assert await pool.fetchval("select count(*) from event") == 0
    assert await pool.fetchval("select last_seq from driver") == 0


@pytest.mark.parametrize("locks_first", [True, False], ids=["locks first", "waits inside append"])
async def test_xid_is_raised_to_the_predecessors(pool: Pool, locks_first: bool) -> None:
    """Early takes its xid, then waits for a driver another transaction holds and writes behind it."""
    market_id = await add_market(pool)
    (driver, other) = await add_drivers(pool, market_id, 2)
    async with pool.acquire() as early, pool.acquire() as late:
        early_transaction, late_transaction = early.transaction(), late.transaction()
        await early_transaction.__aenter__()
        early_xid = await early.fetchval("select pg_current_xact_id()")
        await late_transaction.__aenter__()
        await lock_drivers(late, market_id, [driver])
        late_xid = await late.fetchval("select pg_current_xact_id()")

        async def write_behind() -> list[events.Appended]:
            if locks_first:
                await lock_drivers(early, market_id, [driver])
            return await events.append(early, market_id, [new_event(driver), new_event(other)])

        waiting = asyncio.create_task(write_behind())
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await events.append(late, market_id, [new_event(driver)])
        await late_transaction.__aexit__(None, None, None)
        appended = await waiting
        await early_transaction.__aexit__(None, None, None)
    assert [(a.stream, a.seq) for a in appended] == [(f"driver:{driver}", 2), (f"driver:{other}", 1)]
    xids = {(r["stream"], r["seq"]): r["xid"] for r in await pool.fetch("select stream, seq, xid from event")}
    assert early_xid < late_xid
    assert xids == {
        (f"driver:{driver}", 1): late_xid,
        (f"driver:{driver}", 2): late_xid,
        # Facts of one append stay together.
        (f"driver:{other}", 1): late_xid,
    }
    assert await pool.fetch(LAW) == []


async def test_xids_of_another_cluster_do_not_raise_ours(pool: Pool) -> None:
    """After a restore elsewhere the old rows carry xids this cluster will not reach for years."""
    market_id = await add_market(pool)
    (driver,) = await add_drivers(pool, market_id, 1)
    async with pool.acquire() as connection:
        async with connection.transaction():
            await events.append(connection, market_id, [new_event(driver)])
            await connection.execute("update event set xid = '999999999999'")
        async with connection.transaction():
            await events.append(connection, market_id, [new_event(driver)])
            own = await connection.fetchval("select pg_current_xact_id()")
    assert await pool.fetchval("select xid from event where seq = 2") == own
