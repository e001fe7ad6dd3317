"""The receiver's shell: silence, failing reads, failing consumers, garbage, another cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest
import stamina
from msgspec import Raw

from flexlive.realtime import chain
from flexlive.realtime.buses.memory import MemoryBus
from flexlive.realtime.chain import ChainMessage, FactRow, Position
from flexlive.realtime.receiver import ChainOptions, ChainStart, ChainSubscriber, FactPage

MARKET, CLUSTER, START = "chandler", 7_001, Position(3, 0)
QUICK = ChainOptions(poll_seconds=0.01, silence_seconds=0.05)
# Silence is never noticed while a test runs.
PATIENT = ChainOptions(poll_seconds=0.01, silence_seconds=60)


def fact(event_id: int) -> FactRow:
    return FactRow(MARKET, event_id, 5, "offer:a", event_id, "k", datetime(2026, 5, 4, tzinfo=UTC), Raw(b"{}"))


def message(*facts: FactRow, after: Position = START, cluster: int = CLUSTER) -> bytes:
    upto = facts[-1].position if facts else after
    return chain.encode(ChainMessage(MARKET, cluster, 1, after, upto, facts))


class Facts:
    """A market's facts in memory, in pages of two; reads fail while `failures` lasts."""

    def __init__(self, *facts: FactRow) -> None:
        self.facts = list(facts)
        self.failures = 0
        self.reads = 0

    async def head(self) -> ChainStart:
        return ChainStart(START, CLUSTER)

    async def read(self, after: Position, upto: Position | None) -> FactPage:
        self.reads += 1
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise OSError("database is away")
        rows = [f for f in self.facts if f.position > after and (upto is None or f.position <= upto)]
        return FactPage(rows[:2], len(rows) >= 2)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.002)


@pytest.fixture
async def bus() -> AsyncIterator[MemoryBus]:
    made = MemoryBus()
    await made.start()
    yield made
    await made.stop()


async def test_a_gap_is_read_page_by_page_and_what_waited_follows(bus: MemoryBus) -> None:
    source, got = Facts(*(fact(n) for n in range(1, 6))), list[FactRow]()
    subscriber = ChainSubscriber(MARKET, bus, source, got.append, options=PATIENT)
    await subscriber.start()
    bus.publish(chain.facts_topic(MARKET), message(fact(6), after=fact(5).position))
    await until(lambda: len(got) == 6)
    await subscriber.stop()
    assert [f.event_id for f in got] == [1, 2, 3, 4, 5, 6]
    assert subscriber.position == fact(6).position
    assert not subscriber.silent


async def test_silence_makes_it_read_for_itself_until_the_relay_is_back(bus: MemoryBus) -> None:
    source, got = Facts(), list[FactRow]()
    subscriber = ChainSubscriber(MARKET, bus, source, got.append, options=QUICK)
    await subscriber.start()
    assert not subscriber.silent
    source.facts = [fact(n) for n in range(1, 4)]
    await until(lambda: len(got) == 3)
    assert subscriber.silent
    bus.publish(chain.facts_topic(MARKET), message(fact(2), fact(3), fact(4), after=fact(1).position))
    await until(lambda: len(got) == 4)
    assert not subscriber.silent
    await subscriber.stop()
    assert [f.event_id for f in got] == [1, 2, 3, 4]


async def test_a_failing_read_is_tried_again_and_again(bus: MemoryBus) -> None:
    source, got = Facts(fact(1)), list[FactRow]()
    subscriber = ChainSubscriber(MARKET, bus, source, got.append, options=PATIENT)
    source.failures = 7
    with stamina.set_testing(True, attempts=PATIENT.read_attempts_max):
        await subscriber.start()
        bus.publish(chain.facts_topic(MARKET), message(after=fact(1).position))
        await until(lambda: len(got) == 1)
    await subscriber.stop()
    assert source.reads == 8


async def test_a_consumer_that_raises_gets_the_next_fact(bus: MemoryBus) -> None:
    got: list[int] = []

    def consume(row: FactRow) -> None:
        got.append(row.event_id)
        if row.event_id == 1:
            raise ValueError("poison")

    subscriber = ChainSubscriber(MARKET, bus, Facts(), consume, options=PATIENT)
    await subscriber.start()
    bus.publish(chain.facts_topic(MARKET), message(fact(1), fact(2)))
    await until(lambda: got == [1, 2])
    await subscriber.stop()


async def test_garbage_is_passed_over(bus: MemoryBus) -> None:
    got: list[FactRow] = []
    subscriber = ChainSubscriber(MARKET, bus, Facts(), got.append, options=PATIENT)
    await subscriber.start()
    for garbage in (b"", b"\xff\xfe", b"{}", b"[" * 100_000, b'{"market_id":"\xff"}'):
        bus.publish(chain.facts_topic(MARKET), garbage)
    bus.publish(chain.facts_topic(MARKET), message(fact(1)))
    await until(lambda: len(got) == 1)
    await subscriber.stop()


async def test_another_cluster_ends_it_once(bus: MemoryBus) -> None:
    got: list[FactRow] = []
    replaced: list[bool] = []
    subscriber = ChainSubscriber(
        MARKET, bus, Facts(), got.append, on_replaced=lambda: replaced.append(True), options=QUICK
    )
    await subscriber.start()
    for _ in range(2):
        bus.publish(chain.facts_topic(MARKET), message(fact(1), cluster=9))
    bus.publish(chain.facts_topic(MARKET), message(fact(1)))
    await until(lambda: bool(replaced))
    await asyncio.sleep(0.03)
    await subscriber.stop()
    assert (replaced, got) == ([True], [])


async def test_nothing_is_applied_after_stop(bus: MemoryBus) -> None:
    got: list[FactRow] = []
    subscriber = ChainSubscriber(MARKET, bus, Facts(fact(1)), got.append, options=QUICK)
    await subscriber.start()
    bus.publish(chain.facts_topic(MARKET), message(fact(1)))
    await subscriber.stop()
    await subscriber.stop()
    await asyncio.sleep(0.1)
    assert got == []
