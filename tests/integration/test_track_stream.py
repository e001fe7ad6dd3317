"""The moments between reading and listening, where a stream could lose or double a fact."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from flexlive.domain.deliveries import DeliveryStatus as S
from flexlive.protocol.merchant import DeliveryCreated
from flexlive.realtime.hub import Hub, HubFact, track_channel
from flexlive.services import tracking
from flexlive.web.limits import HttpOptions
from flexlive.web.track_feeds import TrackStreams
from flexlive.web.track_stream import TrackStream
from tests.support.tracking import move, token_of
from tests.support.world import World

OPTIONS = HttpOptions(stream_heartbeat_seconds=0.2, stream_recheck_seconds=0.3)


class Room:
    """One order, one hub, and the driver's steps told to the hub by hand, when the test wants it."""

    def __init__(self, world: World, created: DeliveryCreated, driver_id: UUID) -> None:
        self.world, self.created, self.driver_id = world, created, driver_id
        self.hub = Hub(asyncio.get_running_loop().call_soon)
        self.streams = TrackStreams(OPTIONS)
        self.seq = 1

    async def commit(self, status: S) -> HubFact:
        await move(self.world, self.created.delivery_id, status, self.driver_id)
        self.seq += 1
        body = msgspec.json.encode({"status": status.value})
        return HubFact(f"track.{status.value}", self.seq, datetime.now(UTC), body)

    def publish(self, fact: HubFact) -> None:
        self.hub.publish(track_channel(self.created.delivery_id), fact)

    async def stream(self, last_event_id: str | None = None) -> TrackStream:
        link = await tracking.open_link(self.world.ctx, token_of(self.created))
        return TrackStream(self.world.ctx, self.hub, self.streams, link, last_event_id)


@pytest.fixture
async def room(world: World) -> Room:
    [driver] = await world.add_drivers(1)
    return Room(world, await world.order(), driver.driver_id)


async def read(chunks: AsyncGenerator[bytes], until: int) -> list[int]:
    """The seqs of facts, in the order they were sent, up to and including one."""
    seqs: list[int] = []
    async with asyncio.timeout(5):
        while not seqs or seqs[-1] < until:
            chunk = await anext(chunks)
            for event in chunk.decode().split("\n\n"):
                if "event: fact" in event:
                    seqs.append(int(event.partition("\n")[0].rpartition("-")[2]))
    return seqs


@pytest.mark.parametrize("told_during_read", [True, False])
async def test_a_fact_that_commits_while_the_state_is_read_is_told_once(
    room: Room, monkeypatch: pytest.MonkeyPatch, told_during_read: bool
) -> None:
    stream = await room.stream()
    really, done = tracking.facts, False

    async def slow(*args: object) -> object:
        nonlocal done
        before = await really(*args)  # type: ignore[arg-type]
        if not done:
            done = True
            fact = await room.commit(S.CONFIRMED)
            if told_during_read:
                room.publish(fact)
            else:
                asyncio.get_running_loop().call_later(0.1, room.publish, fact)
        return before

    monkeypatch.setattr(tracking, "facts", slow)
    assert await read(stream.events(), until=2) == [2]


async def test_a_fact_between_the_link_and_the_read_is_told_once(room: Room) -> None:
    stream = await room.stream()
    room.publish(await room.commit(S.CONFIRMED))
    events = stream.events()
    assert await read(events, until=2) == [2]
    room.publish(await room.commit(S.ENROUTE_TO_PICKUP))
    assert await read(events, until=3) == [3]


async def test_shuffled_and_doubled_facts_come_out_in_order_once(room: Room) -> None:
    stream = await room.stream()
    events = stream.events()
    await anext(events)
    facts = [await room.commit(step) for step in (S.CONFIRMED, S.ENROUTE_TO_PICKUP, S.ARRIVED_AT_PICKUP, S.PICKED_UP)]
    for place in (2, 0, 0, 3, 1, 2):
        room.publish(facts[place])
    assert await read(events, until=5) == [2, 3, 4, 5]


async def test_an_overflow_ends_the_stream_and_resuming_loses_nothing(room: Room) -> None:
    room.streams.options = replace(OPTIONS, stream_facts_queued_max=2)
    stream = await room.stream()
    events = stream.events()
    await anext(events)
    for step in (S.CONFIRMED, S.ENROUTE_TO_PICKUP, S.ARRIVED_AT_PICKUP, S.PICKED_UP):
        room.publish(await room.commit(step))
    rest = [chunk async for chunk in events]
    assert b"event: end" not in b"".join(rest)
    stream.close()
    epoch = room.world.ctx.epoch.hex
    assert await read((await room.stream(f"{epoch}-2")).events(), until=5) == [3, 4, 5]


async def test_a_link_that_was_revoked_without_a_fact_ends_at_the_next_look(room: Room) -> None:
    stream = await room.stream()
    events = stream.events()
    await anext(events)
    await room.world.ctx.pool.execute("update token set revoked_at = now() where kind = 'track'")
    async with asyncio.timeout(5):
        rest = [chunk async for chunk in events]
    assert b"event: end" in rest[-1]


async def test_closing_leaves_nothing_behind(room: Room) -> None:
    stream = await room.stream()
    assert room.streams.open_count == 1
    stream.close()
    stream.close()
    assert room.streams.open_count == 0
    assert room.hub.channel_count() == 0


async def named(room: Room) -> list[bool]:
    """For each fact a stream resumed from the first one tells: whether it names the courier."""
    epoch = room.world.ctx.epoch
    chunks = (await room.stream(f"{epoch.hex}-1")).events()
    told: list[bool] = []
    async with asyncio.timeout(5):
        while len(told) < room.seq - 1:
            for event in (await anext(chunks)).decode().split("\n\n"):
                if "event: fact" in event:
                    told.append("Zoltan" in event)
    await chunks.aclose()
    return told


async def test_the_courier_is_named_during_the_own_leg_and_not_when_the_past_is_read_again(room: Room) -> None:
    for status in (S.CONFIRMED, S.ENROUTE_TO_PICKUP, S.ARRIVED_AT_PICKUP, S.PICKED_UP, S.ENROUTE_TO_DROPOFF):
        await room.commit(status)
    assert await named(room) == [False, False, False, False, True]
    await room.commit(S.ARRIVED_AT_DROPOFF)
    await room.commit(S.DELIVERED)
    assert await named(room) == [False] * 7
