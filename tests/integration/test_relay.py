"""The relay at work: prompt, fenced, restartable."""

from __future__ import annotations

import asyncio
import statistics
import uuid
from itertools import pairwise

from flexlive.realtime.buses.memory import MemoryBus
from flexlive.realtime.chain import ChainMessage, FactRow
from flexlive.realtime.receiver import ChainSubscriber
from flexlive.storage import events, relay
from flexlive.storage.pool import Pool
from flexlive.storage.relay import StoredPosition
from flexlive.workers.fact_source import DatabaseFacts
from flexlive.workers.relay import Relay, RelayOptions
from tests.integration.event_world import append_one, new_event
from tests.support.relay import BY_WAKE, facts_of, leading, until


async def test_a_commit_is_published_at_once_and_messages_form_a_chain(
    pool: Pool, bus: MemoryBus, market_id: str, drivers: list[uuid.UUID], messages: list[ChainMessage]
) -> None:
    working = await leading(pool, bus, market_id, "me", BY_WAKE)
    await until(lambda: len(messages) == 1)
    async with pool.acquire() as connection:
        for n in range(20):
            await append_one(connection, market_id, drivers[n % 3])
            working.wake(market_id)
            await until(lambda expected=n + 1: len(facts_of(messages)) == expected, 2.0)
    await working.stop()
    assert all(second.after == first.upto for first, second in pairwise(messages))
    assert all(m.upto == m.facts[-1].position for m in messages if m.facts)
    assert {m.term for m in messages} == {1}
    (first, *_) = facts_of(messages)
    assert (first.stream, first.seq, first.kind) == (f"driver:{drivers[0]}", 1, "driver.tested")


async def test_commit_to_callback_takes_about_a_millisecond(
    pool: Pool, bus: MemoryBus, market_id: str, drivers: list[uuid.UUID]
) -> None:
    working = await leading(pool, bus, market_id, "me", BY_WAKE)
    heard = asyncio.Event()
    subscriber = ChainSubscriber(market_id, bus, DatabaseFacts(pool, market_id), lambda _: heard.set())
    await subscriber.start()
    loop, taken = asyncio.get_running_loop(), list[float]()
    async with pool.acquire() as connection:
        for _ in range(100):
            heard.clear()
            await append_one(connection, market_id, drivers[0])
            committed = loop.time()
            working.wake(market_id)
            await heard.wait()
            taken.append(loop.time() - committed)
    await subscriber.stop()
    await working.stop()
    taken.sort()
    print(f"commit to callback: p50 {taken[50] * 1000:.2f} ms, p99 {taken[98] * 1000:.2f} ms")
    # The goal is 1 ms alone on a machine; other runs share this one.
    assert statistics.median(taken) < 0.02


async def test_many_events_of_one_transaction_come_in_pages(
    pool: Pool, bus: MemoryBus, market_id: str, drivers: list[uuid.UUID], messages: list[ChainMessage]
) -> None:
    options = RelayOptions(poll_seconds=20, sign_of_life_seconds=20, page_events_max=100, message_facts_max=30)
    working = await leading(pool, bus, market_id, "me", options)
    async with pool.acquire() as connection, connection.transaction():
        appended = await events.append(connection, market_id, [new_event(drivers[n % 3], n=n) for n in range(1_000)])
    working.wake(market_id)
    await until(lambda: len(facts_of(messages)) == 1_000)
    await working.stop()
    assert [fact.event_id for fact in facts_of(messages)] == [a.event_id for a in appended]
    assert max(len(m.facts) for m in messages) == 30


async def test_an_idle_relay_gives_signs_of_life_and_polls(
    pool: Pool, bus: MemoryBus, market_id: str, drivers: list[uuid.UUID], messages: list[ChainMessage]
) -> None:
    working = await leading(pool, bus, market_id, "me", RelayOptions(poll_seconds=0.05, sign_of_life_seconds=0.05))
    await asyncio.sleep(0.5)
    assert 5 <= len(messages) <= 12
    assert all(m.after == m.upto and not m.facts for m in messages)
    async with pool.acquire() as connection:
        await append_one(connection, market_id, drivers[0])
    await until(lambda: bool(facts_of(messages)), 2.0)
    await working.stop()


async def test_withheld_facts_follow_soon_after_the_blocker_ends_though_nobody_wakes(
    pool: Pool, bus: MemoryBus, market_id: str, drivers: list[uuid.UUID], messages: list[ChainMessage]
) -> None:
    working = await leading(pool, bus, market_id, "me", BY_WAKE)
    async with pool.acquire() as blocker, pool.acquire() as connection:
        transaction = blocker.transaction()
        await transaction.__aenter__()
        await blocker.fetchval("select pg_current_xact_id()")
        await append_one(connection, market_id, drivers[0])
        working.wake(market_id)
        await asyncio.sleep(0.2)
        assert facts_of(messages) == []
        await transaction.__aexit__(None, None, None)
        await until(lambda: bool(facts_of(messages)), 1.0)
    await working.stop()


async def test_a_successor_goes_on_where_the_stopped_relay_left_off(
    pool: Pool, bus: MemoryBus, market_id: str, drivers: list[uuid.UUID], messages: list[ChainMessage]
) -> None:
    first = await leading(pool, bus, market_id, "first", BY_WAKE)
    async with pool.acquire() as connection:
        await append_one(connection, market_id, drivers[0])
        await first.stop()
        assert len(facts_of(messages)) == 1, "a stopping relay publishes what is final"
        end = messages[-1].upto
        await append_one(connection, market_id, drivers[0])
    second = await leading(pool, bus, market_id, "second", BY_WAKE)
    await until(lambda: len(facts_of(messages)) == 2)
    await second.stop()
    assert messages[-1].term == 2
    assert messages[-1].after == end
    assert [fact.seq for fact in facts_of(messages)] == [1, 2]


async def test_the_one_without_the_lease_wakes_the_leader_over_the_bus_and_takes_over(
    pool: Pool, bus: MemoryBus, market_id: str, drivers: list[uuid.UUID], messages: list[ChainMessage]
) -> None:
    options = RelayOptions(poll_seconds=20, sign_of_life_seconds=20, standby_seconds=0.05)
    first = await leading(pool, bus, market_id, "first", options)
    second = Relay(pool, bus, "second", options)
    second.ensure(market_id)
    await asyncio.sleep(0.15)
    assert not second.leads(market_id)
    async with pool.acquire() as connection:
        await append_one(connection, market_id, drivers[0])
    second.wake(market_id)
    await until(lambda: len(facts_of(messages)) == 1, 2.0)
    await first.stop()
    await until(lambda: second.leads(market_id), 2.0)
    await second.stop()


async def test_a_relay_whose_lease_was_taken_stops(pool: Pool, bus: MemoryBus, market_id: str) -> None:
    options = RelayOptions(poll_seconds=0.02, lease_seconds=0.3, standby_seconds=0.05)
    paused = await leading(pool, bus, market_id, "paused", options)
    await pool.execute("update lease set holder = 'other', term = term + 1, expires_at = now() + interval '1 minute'")
    await until(lambda: not paused.leads(market_id), 2.0)
    await paused.stop()


async def test_the_position_is_fenced_and_only_moves_forward(pool: Pool, market_id: str) -> None:
    start = await relay.ensure_position(pool, market_id)

    def at(xid: int, term: int) -> StoredPosition:
        return StoredPosition(start.system_identifier, term, (start.cursor[0] + xid, 7))

    assert await relay.store_position(pool, market_id, at(5, 2))
    assert not await relay.store_position(pool, market_id, at(9, 1)), "a lower term"
    assert not await relay.store_position(pool, market_id, at(4, 3)), "backwards"
    assert await relay.ensure_position(pool, market_id) == at(5, 2)


async def test_the_relay_survives_losing_its_sessions(
    pool: Pool, bus: MemoryBus, market_id: str, drivers: list[uuid.UUID], messages: list[ChainMessage]
) -> None:
    options = RelayOptions(poll_seconds=0.05, failure_delay_min_seconds=0.02)
    working = await leading(pool, bus, market_id, "me", options)
    for n in range(3):
        await pool.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        )
        async with pool.acquire() as connection:
            await append_one(connection, market_id, drivers[0])
        await until(lambda expected=n + 1: {f.seq for f in facts_of(messages)} == set(range(1, expected + 1)))
    await working.stop()


async def test_a_new_receiver_starts_at_the_head(
    pool: Pool, bus: MemoryBus, market_id: str, drivers: list[uuid.UUID]
) -> None:
    await relay.ensure_position(pool, market_id)
    async with pool.acquire() as connection:
        await append_one(connection, market_id, drivers[0])
        second = await append_one(connection, market_id, drivers[0])
        got: list[FactRow] = []
        subscriber = ChainSubscriber(market_id, bus, DatabaseFacts(pool, market_id), got.append)
        await subscriber.start()
        assert subscriber.position is not None
        assert subscriber.position.event_id == second.event_id
        third = await append_one(connection, market_id, drivers[0])
    working = await leading(pool, bus, market_id, "me", BY_WAKE)
    await until(lambda: bool(got))
    await subscriber.stop()
    await working.stop()
    assert [fact.event_id for fact in got] == [third.event_id]


async def test_a_range_read_again_is_what_was_published(
    pool: Pool, bus: MemoryBus, market_id: str, drivers: list[uuid.UUID], messages: list[ChainMessage]
) -> None:
    working = await leading(pool, bus, market_id, "me", BY_WAKE)
    async with pool.acquire() as connection, connection.transaction():
        await events.append(connection, market_id, [new_event(driver, n=n) for n, driver in enumerate(drivers)])
    working.wake(market_id)
    await until(lambda: len(facts_of(messages)) == 3)
    await working.stop()
    source = DatabaseFacts(pool, market_id, page_events_max=2)
    published = messages[-1]
    page = await source.read(published.after, published.upto)
    rest = await source.read(page.facts[-1].position, published.upto)
    assert (page.full, rest.full) == (True, False)
    again = [*page.facts, *rest.facts]
    assert [(f.position, f.stream, f.seq) for f in again] == [(f.position, f.stream, f.seq) for f in published.facts]
    assert [bytes(f.data) for f in again] == [bytes(f.data) for f in published.facts]
