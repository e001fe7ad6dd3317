"""Accepting: one winner, one answer, the clock of the database, and money that names its event."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import pytest

from flexlive.protocol.driver import OfferDecline
from flexlive.services import commands, offers
from flexlive.services.context import Context
from flexlive.storage.group_commit import GroupCommit, GroupCommitOptions
from tests.support.dispatch import dispatch, open_offer_ids
from tests.support.world import World, accept_item


def code(body: bytes) -> str:
    return msgspec.json.decode(body)["code"]


async def opened(world: World, orders: int = 1) -> list:
    for _ in range(orders):
        await world.order()
    assert await dispatch(world.ctx, world.market_id) == orders
    return await open_offer_ids(world.ctx, world.market_id)


async def test_one_winner_and_everyone_is_told(world: World) -> None:
    drivers = await world.add_drivers(40)
    [offer_id] = await opened(world)
    answers = await asyncio.gather(*(offers.accept(world.ctx, accept_item(driver, offer_id)) for driver in drivers))
    codes = [code(body) for body in answers]
    assert sorted(codes) == ["taken"] * 39 + ["won"]
    row = await world.ctx.pool.fetchrow("select * from offer where offer_id = $1", offer_id)
    assert row["driver_id"] == drivers[codes.index("won")].driver_id
    assert await world.ctx.pool.fetchval("select count(*) from route") == 1
    delivery = await world.ctx.pool.fetchrow("select * from delivery")
    assert (delivery["status"], delivery["driver_id"]) == ("confirmed", row["driver_id"])


async def test_a_retry_gets_the_same_bytes_and_other_content_a_conflict(world: World) -> None:
    [driver] = await world.add_drivers(1)
    first, second = await opened(world, 2)
    won = await offers.accept(world.ctx, accept_item(driver, first))
    assert code(won) == "won"
    twins = await asyncio.gather(*(offers.accept(world.ctx, accept_item(driver, first)) for _ in range(5)))
    assert set(twins) == {won}
    assert code(await offers.accept(world.ctx, accept_item(driver, second))) == "conflict"
    other_phone = await offers.accept(world.ctx, accept_item(driver, first, device="tablet"))
    assert code(other_phone) == "won"
    assert await world.ctx.pool.fetchval("select count(*) from route") == 1


async def test_a_driver_wins_no_more_than_the_slots_allow(world: World) -> None:
    [driver] = await world.add_drivers(1)
    ids = await opened(world, 4)
    answers = await asyncio.gather(
        *(offers.accept(world.ctx, accept_item(driver, each, cmd=f"a-{i}")) for i, each in enumerate(ids))
    )
    assert sorted(map(code, answers)) == ["not_eligible"] * 3 + ["won"]


async def test_an_expired_offer_is_never_accepted_whatever_the_dispatcher_missed(world: World) -> None:
    [driver] = await world.add_drivers(1)
    [offer_id] = await opened(world)
    await world.ctx.pool.execute(
        "update offer set valid_until = clock_timestamp() - interval '1 ms', opened_at = now() - interval '1 hour'"
    )
    assert code(await offers.accept(world.ctx, accept_item(driver, offer_id))) == "expired"


async def test_the_clock_is_read_after_the_lock(world: World) -> None:
    """The offer runs out while the accept waits for its row: the answer must be expired, not won."""
    [driver] = await world.add_drivers(1)
    [offer_id] = await opened(world)
    async with world.ctx.pool.acquire() as other:
        blocking = other.transaction()
        await blocking.start()
        await other.execute(
            "update offer set valid_until = clock_timestamp() + interval '300 ms' where offer_id = $1", offer_id
        )
        waiting = asyncio.create_task(offers.accept(world.ctx, accept_item(driver, offer_id)))
        await asyncio.sleep(0.5)
        assert not waiting.done()
        await blocking.commit()
    assert code(await waiting) == "expired"


async def test_an_offer_of_a_cancelled_delivery_is_withdrawn(world: World) -> None:
    [driver] = await world.add_drivers(1)
    [offer_id] = await opened(world)
    await world.ctx.pool.execute("update delivery set status = 'cancelled'")
    assert code(await offers.accept(world.ctx, accept_item(driver, offer_id))) == "withdrawn"


async def test_offline_unknown_and_declined(world: World) -> None:
    [driver] = await world.add_drivers(1, online=False)
    [offer_id] = await opened(world)
    assert code(await offers.accept(world.ctx, accept_item(driver, offer_id))) == "not_eligible"
    await world.go_online([driver.driver_id])
    unknown = await offers.accept(world.ctx, accept_item(driver, driver.driver_id, cmd="a-2"))
    assert code(unknown) == "not_found"
    no = await commands.execute(world.ctx, driver, "phone", OfferDecline(cmd="d-1", offer_id=offer_id))
    assert code(no) == "ok"
    assert code(await offers.accept(world.ctx, accept_item(driver, offer_id, cmd="a-3"))) == "not_eligible"


async def test_streams_are_gap_free_and_relay_sees_every_fact(world: World) -> None:
    drivers = await world.add_drivers(8)
    ids = await opened(world, 8)
    await asyncio.gather(*(offers.accept(world.ctx, accept_item(d, o)) for d, o in zip(drivers, ids, strict=True)))
    rows = await world.ctx.pool.fetch(
        "select stream, array_agg(seq order by event_id) as seqs from event group by stream"
    )
    assert rows
    assert all(list(row["seqs"]) == list(range(1, len(row["seqs"]) + 1)) for row in rows)


async def test_a_spoilt_command_does_not_spoil_its_batch(ctx: Context) -> None:
    flushed: list[int] = []

    async def flush(_: str, items: list[int]) -> list[int]:
        flushed.append(len(items))
        if 13 in items:
            raise ValueError("13 never works")
        return [item * 2 for item in items]

    group: GroupCommit[int, int] = GroupCommit(GroupCommitOptions(flushers=1))
    group.bind(flush)
    answers = await asyncio.gather(
        *(group.submit("m", ctx.new_id(), item) for item in range(40)), return_exceptions=True
    )
    assert [a for a in answers if not isinstance(a, Exception)] == [i * 2 for i in range(40) if i != 13]
    assert isinstance(answers[13], ValueError)
    assert max(flushed) > 10


async def test_one_command_of_a_driver_per_batch(ctx: Context) -> None:
    running: set[object] = set()

    async def flush(_: str, items: list[tuple[object, int]]) -> list[int]:
        drivers = [driver for driver, _ in items]
        assert len(set(drivers)) == len(drivers)
        assert not running.intersection(drivers)
        running.update(drivers)
        await asyncio.sleep(0.002)
        running.difference_update(drivers)
        return [number for _, number in items]

    group: GroupCommit[tuple[object, int], int] = GroupCommit(GroupCommitOptions(batch_commands_max=5))
    group.bind(flush)
    drivers = [ctx.new_id() for _ in range(7)]
    asked = [(drivers[i % 7], i) for i in range(60)]
    answers = await asyncio.gather(*(group.submit("m", driver, (driver, i)) for driver, i in asked))
    assert answers == list(range(60))


@pytest.mark.parametrize("minutes", [0, 10])
async def test_dispatcher_expires_and_offers_again(world: World, minutes: int) -> None:
    await world.add_drivers(1)
    [offer_id] = await opened(world)
    await world.ctx.pool.execute(
        "update offer set opened_at = now() - interval '1 hour', valid_until = now() - interval '1 minute'"
    )
    assert await dispatch(world.ctx, world.market_id) == 1
    assert await open_offer_ids(world.ctx, world.market_id) == []
    await dispatch(world.ctx, world.market_id, world.ctx.clock() + timedelta(minutes=1 + minutes))
    [again] = await open_offer_ids(world.ctx, world.market_id)
    assert again != offer_id


async def test_nobody_counts_on_a_phone_that_takes_nothing_in(world: World) -> None:
    """The driver at the door is there, but silent: the offer opens further out than it would for that driver alone."""

    async def ring() -> int:
        await world.order()
        assert await dispatch(world.ctx, world.market_id) == 1
        return await world.ctx.pool.fetchval("select ring from offer order by opened_at desc limit 1")

    roster = world.ctx.roster
    drivers = await world.add_drivers(40)
    for driver in drivers:
        assert roster.claim(world.market_id, driver.driver_id, 1.0)
    near = await ring()
    for driver in drivers:
        roster.set_unreachable(world.market_id, driver.driver_id, True)
    assert await ring() > near
    for driver in drivers:
        roster.set_unreachable(world.market_id, driver.driver_id, False)
    assert await ring() == near
