"""The reading rule against the schedule that breaks simpler ones, and against a storm over an unreliable bus."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pytest

from flexlive.realtime.bus import Bus, Callback, Unsubscribe
from flexlive.realtime.buses.memory import MemoryBus
from flexlive.realtime.chain import FactRow
from flexlive.realtime.receiver import ChainOptions, ChainSubscriber
from flexlive.storage import events, relay
from flexlive.storage.pool import Connection, Pool, PoolOptions, close_pool, open_pool
from flexlive.workers.fact_source import DatabaseFacts
from flexlive.workers.relay import Relay, RelayOptions
from tests.integration.event_world import add_drivers, add_market, lock_drivers, new_event

Append = Callable[[Connection, str, uuid.UUID], Awaitable[object]]
Fact = tuple[str, int]


async def append_by_rule(connection: Connection, market_id: str, driver_id: uuid.UUID) -> None:
    await events.append(connection, market_id, [new_event(driver_id)])


async def append_with_own_xid(connection: Connection, market_id: str, driver_id: uuid.UUID) -> None:
    """What `events.append` would be without raising the xid."""
    await connection.execute(
        "with head as (update driver set last_seq = last_seq + 1 where market_id = $1 and driver_id = $2 "
        "returning last_seq) "
        "insert into event (market_id, stream, seq, kind, occurred_at, received_at, actor_type, data) "
        "select $1, 'driver:' || $2::uuid, last_seq, 'driver.tested', now(), now(), 'system', '{}' from head",
        market_id,
        driver_id,
    )


class Reader(Protocol):
    seen: list[Fact]

    async def read(self, connection: Connection, market_id: str) -> None: ...


@dataclass
class ById:
    """Naive: everything after the last id."""

    seen: list[Fact] = field(default_factory=list)
    last: int = 0

    async def read(self, connection: Connection, market_id: str) -> None:
        rows = await connection.fetch(
            "select event_id, stream, seq from event where market_id = $1 and event_id > $2 order by event_id",
            market_id,
            self.last,
        )
        self.seen += [(row["stream"], row["seq"]) for row in rows]
        self.last = rows[-1]["event_id"] if rows else self.last


@dataclass
class ByRule:
    """Production's reading, any page size. Over `append_with_own_xid` it is the plain (xid, id) rule."""

    page_events: int = 500
    seen: list[Fact] = field(default_factory=list)
    cursor: relay.Cursor = (0, 0)

    async def read(self, connection: Connection, market_id: str) -> None:
        full = True
        while full:
            batch = await relay.final_events(connection, market_id, self.cursor, self.page_events)
            self.seen += [(event.stream, event.seq) for event in batch.events]
            self.cursor, full = batch.scanned, batch.full


async def breaking_schedule(pool: Pool, append: Append, reader: Reader) -> tuple[list[Fact], list[Fact]]:
    """Early takes its xid and writes, then waits for a driver that late holds; another transaction, open, began in
    between. The reader looks after each commit. Returns what it saw and what is committed."""
    market_id = await add_market(pool)
    contended, own = await add_drivers(pool, market_id, 2)
    async with pool.acquire() as early, pool.acquire() as open_, pool.acquire() as late, pool.acquire() as watching:
        transactions = [connection.transaction() for connection in (early, open_, late)]
        for connection, transaction in zip((early, open_, late), transactions, strict=True):
            await transaction.__aenter__()
            await connection.fetchval("select pg_current_xact_id()")
        await append(early, market_id, own)
        await lock_drivers(late, market_id, [contended])
        await append(late, market_id, contended)
        waiting = asyncio.create_task(lock_drivers(early, market_id, [contended]))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await transactions[2].__aexit__(None, None, None)
        await waiting
        await reader.read(watching, market_id)
        await append(early, market_id, contended)
        await transactions[0].__aexit__(None, None, None)
        await reader.read(watching, market_id)
        await transactions[1].__aexit__(None, None, None)
        await reader.read(watching, market_id)
    committed = await pool.fetch("select stream, seq from event")
    return reader.seen, [(row["stream"], row["seq"]) for row in committed]


def out_of_order(seen: Sequence[Fact]) -> list[Fact]:
    """Facts that came before their predecessor or never after it."""
    last: dict[str, int] = defaultdict(int)
    wrong: list[Fact] = []
    for stream, seq in seen:
        if seq != last[stream] + 1:
            wrong.append((stream, seq))
        last[stream] = seq
    return wrong


async def test_the_schedule_breaks_reading_by_id(pool: Pool) -> None:
    seen, committed = await breaking_schedule(pool, append_by_rule, ById())
    assert len(set(committed) - set(seen)) == 1, "the fact early wrote first is lost for ever"


async def test_the_schedule_breaks_reading_by_plain_xid_and_id(pool: Pool) -> None:
    seen, committed = await breaking_schedule(pool, append_with_own_xid, ByRule())
    assert set(seen) == set(committed)
    assert [seq for _, seq in out_of_order(seen)] == [2, 1], "seq 2 of the contended stream came before seq 1"


@pytest.mark.parametrize("page_events", [1, 2, 500])
async def test_the_rule_stands_the_schedule(pool: Pool, page_events: int) -> None:
    seen, committed = await breaking_schedule(pool, append_by_rule, ByRule(page_events))
    assert sorted(seen) == sorted(committed)
    assert len(seen) == 3
    assert out_of_order(seen) == []


@dataclass
class UnreliableBus:
    """Loses a tenth, doubles a fifth, delays half by up to 30 ms so that they come shuffled."""

    inner: Bus
    chance: random.Random
    lost: int = 0

    def publish(self, topic: str, payload: bytes) -> None:
        if topic.startswith("wake."):
            self.inner.publish(topic, payload)
            return
        fate = self.chance.random()
        if fate < 0.1:
            self.lost += 1
            return
        copies = 2 if fate < 0.3 else 1
        for _ in range(copies):
            delay = self.chance.choice([0.0, self.chance.uniform(0.0, 0.03)])
            asyncio.get_running_loop().call_later(delay, self.inner.publish, topic, payload)

    def subscribe(self, topic: str, callback: Callback) -> Unsubscribe:
        return self.inner.subscribe(topic, callback)

    @property
    def connected(self) -> bool:
        return self.inner.connected

    async def start(self) -> None:
        await self.inner.start()

    async def stop(self) -> None:
        await self.inner.stop()


@dataclass
class Storm:
    """Writers that take their xid early, lock in turn, dawdle, roll back, and sometimes wait inside append."""

    pool: Pool
    market_id: str
    drivers: list[uuid.UUID]
    relays: list[Relay]
    append: Append = append_by_rule

    async def writer(self, seed: int, seconds: float) -> None:
        chance, loop = random.Random(seed), asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            async with self.pool.acquire() as connection:
                transaction = connection.transaction()
                await transaction.__aenter__()
                if chance.random() < 0.5:
                    await connection.fetchval("select pg_current_xact_id()")
                    await asyncio.sleep(chance.uniform(0, 0.01))
                await self.work(connection, chance)
                if chance.random() < 0.15:
                    await connection.execute("rollback")
                else:
                    await connection.execute("commit")
            if chance.random() < 0.7:
                self.relays[seed % len(self.relays)].wake(self.market_id)

    async def work(self, connection: Connection, chance: random.Random) -> None:
        if chance.random() < 0.3:
            await self.append(connection, self.market_id, chance.choice(self.drivers))
            return
        for driver_id in sorted(chance.sample(self.drivers, chance.randint(1, 3))):
            await lock_drivers(connection, self.market_id, [driver_id])
            await asyncio.sleep(chance.uniform(0, 0.004))
            await self.append(connection, self.market_id, driver_id)
            if chance.random() < 0.3:
                await self.append(connection, self.market_id, driver_id)


async def test_a_storm_over_an_unreliable_bus_with_a_change_of_relay(database_url: str) -> None:
    """16 writers, two relays of which the leader dies half way, receivers that start early, late, and deaf."""
    pool = await open_pool(database_url, PoolOptions(min_size=4, max_size=28))
    market_id = await add_market(pool)
    drivers = await add_drivers(pool, market_id, 5)
    bus = UnreliableBus(MemoryBus(), random.Random(11))
    deaf = MemoryBus()
    for each in (bus, deaf):
        await each.start()
    quick = RelayOptions(
        poll_seconds=0.1,
        sign_of_life_seconds=0.1,
        lease_seconds=0.6,
        standby_seconds=0.1,
        page_events_max=20,
        message_facts_max=3,
    )
    relays = [Relay(pool, bus, f"relay-{n}", quick) for n in range(2)]
    storm = Storm(pool, market_id, drivers, relays)
    applied: dict[str, list[FactRow]] = {name: [] for name in ("early", "late", "deaf")}
    options = ChainOptions(poll_seconds=0.05, silence_seconds=0.5)

    def subscriber(name: str, on: Bus) -> ChainSubscriber:
        return ChainSubscriber(market_id, on, DatabaseFacts(pool, market_id, 50), applied[name].append, options=options)

    early, late, deaf_one = subscriber("early", bus), subscriber("late", bus), subscriber("deaf", deaf)
    await early.start()
    await deaf_one.start()
    for each in relays:
        each.ensure(market_id)
    writers = [asyncio.create_task(storm.writer(seed, 3.0)) for seed in range(16)]
    async with asyncio.timeout(20):
        while len(applied["early"]) < 100:
            await asyncio.sleep(0.02)
    await late.start()
    late_from = late.position
    leader = next(each for each in relays if each.leads(market_id))
    await crash(leader, market_id)
    await asyncio.gather(*writers)

    rows = await pool.fetch(
        "select stream, seq, xid, event_id, xmin::text::bigint <> xid::text::bigint as raised from event "
        "order by xid, event_id"
    )
    async with asyncio.timeout(10):
        while any(len(applied[name]) < len(rows) for name in ("early", "deaf")) or len(applied["late"]) < sum(
            late_from is None or (row["xid"], row["event_id"]) > (late_from.xid, late_from.event_id) for row in rows
        ):
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.2)
    for each in (early, late, deaf_one):
        await each.stop()
    for each in relays:
        await each.stop()
    await close_pool(pool)

    expected = [(row["stream"], row["seq"]) for row in rows]
    assert out_of_order(expected) == []
    assert [(f.stream, f.seq) for f in applied["early"]] == expected
    assert [(f.stream, f.seq) for f in applied["deaf"]] == expected
    late_facts = [(f.stream, f.seq) for f in applied["late"]]
    assert late_facts == expected[-len(late_facts) :]
    assert 0 < len(late_facts) < len(expected)
    # The storm must have been one.
    assert len(rows) > 300
    assert sum(row["raised"] for row in rows) > 20
    assert bus.lost > 10


async def crash(leader: Relay, market_id: str) -> None:
    """The leader is gone without storing its position or giving the lease back."""
    task = next(task for task in asyncio.all_tasks() if task.get_name() == f"relay:{market_id}" and owns(leader, task))
    task.cancel()
    await asyncio.wait([task])
    assert not leader.leads(market_id)


def owns(leader: Relay, task: asyncio.Task[object]) -> bool:
    return any(market._task is task for market in leader._markets.values())
