"""Notices to a market, to cells, to an arm and to named drivers: who gets them, once, and what the funnel counts."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from flexlive.domain import cells
from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.domain.ids import DEPLOYMENT
from flexlive.protocol import ops_market as wire
from flexlive.protocol.driver import EnrolmentAnswer
from flexlive.services import commands, drivers, notices, offers, pilots, receipts
from flexlive.services.drivers import SnapshotAsk
from flexlive.services.tokens import OpsPrincipal
from flexlive.storage import notices as rows
from flexlive.storage.drivers import PositionRow, write_positions
from flexlive.storage.transaction import transaction
from tests.support.dispatch import dispatch, open_offer_ids
from tests.support.world import SITE, World, accept_item

OPS = OpsPrincipal(uuid4(), DEPLOYMENT)
TYPE = "retail_delivery"


def notice(world: World, audience: wire.Audience, offer_type: str | None = None) -> wire.CreateNotice:
    return wire.CreateNotice(
        title="A new offer type near you",
        body="We are testing retail delivery offers.",
        audience=audience,
        offer_type=offer_type,
        expires_at=world.ctx.clock() + timedelta(days=1),
    )


async def send(world: World, audience: wire.Audience, offer_type: str | None = None) -> wire.Notice:
    return await notices.create(world.ctx, OPS, world.market_id, notice(world, audience, offer_type))


async def receivers(world: World, notice_id: UUID) -> set[UUID]:
    rows = await world.ctx.pool.fetch("select driver_id from notice_receipt where notice_id = $1", notice_id)
    return {row["driver_id"] for row in rows}


async def test_each_audience_reaches_exactly_whom_it_names(world: World) -> None:
    near, far, silent = (driver.driver_id for driver in await world.add_drivers(3))
    away = (SITE[0] + 0.5, SITE[1])
    now = world.ctx.clock()
    async with world.ctx.pool.acquire() as conn:
        await write_positions(conn, world.market_id, [PositionRow(far, *away, 5.0, now, now)])
        await conn.execute("delete from driver_position where driver_id = $1", silent)
    here = cells.to_wire(cells.cell_of(*SITE, 7))
    everyone = await send(world, wire.Audience(kind="market"))
    assert (everyone.sent, await receivers(world, everyone.notice_id)) == (3, {near, far, silent})
    there = await send(world, wire.Audience(kind="cells", cells=(here,)))
    assert await receivers(world, there.notice_id) == {near}
    named = await send(world, wire.Audience(kind="drivers", driver_ids=(far, uuid4())))
    assert await receivers(world, named.notice_id) == {far}
    pilot = await pilots.create(
        world.ctx,
        world.market_id,
        wire.CreatePilot(name="p", offer_type=TYPE, ends_at=now + timedelta(days=1), cohort=(near,), control=(silent,)),
    )
    arm = await send(world, wire.Audience(kind="pilot", pilot_id=pilot.pilot_id, arm="control"))
    assert await receivers(world, arm.notice_id) == {silent}
    with pytest.raises(FlexliveError) as wrong:
        await send(world, wire.Audience(kind="cells", cells=(cells.to_wire(cells.cell_of(*SITE, 8)),)))
    assert wrong.value.code is ErrorCode.INVALID


async def test_nobody_is_told_twice_and_who_joins_later_can_be_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "BITE_ROWS_MAX", 2)
    await world.add_drivers(5)
    made = await send(world, wire.Audience(kind="market"))
    assert made.sent == 5
    [late] = await world.add_drivers(1)
    # Whoever comes second with the same driver in hand is told that there is nobody left.
    async with transaction(world.ctx.pool) as conn:
        assert (
            await rows.insert_receipts(
                conn, world.market_id, made.notice_id, [world.drivers[0].driver_id], world.ctx.clock()
            )
            == []
        )
    # Two operators at once.
    again = [notices.send(world.ctx, world.market_id, made.notice_id) for _ in range(2)]
    assert [each.sent for each in await asyncio.gather(*again)][-1] == 6
    told = await world.ctx.pool.fetch("select stream, count(*) from event where kind = 'driver.notice' group by stream")
    assert [row["count"] for row in told] == [1] * 6
    # Bites, not one transaction: five drivers, two at a time, then the one who joined.
    counted = await world.ctx.pool.fetchval("select count(distinct xid) from event where kind = 'driver.notice'")
    assert counted == 4
    snapshot = (await drivers.snapshots(world.ctx, world.market_id, [SnapshotAsk(late.driver_id)]))[late.driver_id]
    [item] = snapshot.inbox
    assert (item.kind, item.body["title"]) == ("notice", "A new offer type near you")


async def test_the_funnel_counts_each_step_of_those_who_took_the_one_before(world: World) -> None:
    world.drivers.clear()
    people = await world.add_drivers(5)
    # Nobody is enrolled yet: the notice invites.
    await world.ctx.pool.execute("delete from enrolment")
    made = await send(world, wire.Audience(kind="market"), TYPE)
    for driver in people[:4]:
        for _ in range(2):
            world.ctx.seen_notices.put(world.market_id, made.notice_id, driver.driver_id, world.ctx.clock())
    world.ctx.seen_notices.put(world.market_id, uuid4(), people[4].driver_id, world.ctx.clock())
    assert await receipts.write(world.ctx, 500) == 5
    for driver, accept in zip(people[:4], (True, True, True, False), strict=True):
        command = EnrolmentAnswer(cmd="e-1", offer_type=TYPE, accept=accept, terms_version=1)
        assert b'"ok":true' in await commands.execute(world.ctx, driver, "phone", command)
    await world.order()
    await dispatch(world.ctx, world.market_id)
    [offer_id] = await open_offer_ids(world.ctx, world.market_id)
    assert b'"won"' in await offers.accept(world.ctx, accept_item(people[0], offer_id))
    funnel = await notices.funnel(world.ctx, world.market_id, made.notice_id)
    assert (funnel.sent, funnel.seen, funnel.opted_in, funnel.first_accept) == (5, 4, 3, 1)
    assert funnel.seen_seconds_median is not None
    assert funnel.first_accept_seconds_median is not None
    assert 0 <= funnel.seen_seconds_median <= funnel.first_accept_seconds_median
    acted = await world.ctx.pool.fetchval("select count(*) from notice_receipt where acted_at is not null")
    assert acted == 4


async def test_an_answer_without_a_signal_counts_as_seen(world: World) -> None:
    [ada] = await world.add_drivers(1)
    await world.ctx.pool.execute("delete from enrolment")
    first = await send(world, wire.Audience(kind="market"), TYPE)
    second = await send(world, wire.Audience(kind="market"), TYPE)
    command = EnrolmentAnswer(cmd="e-1", offer_type=TYPE, accept=True, terms_version=1)
    await commands.execute(world.ctx, ada, "phone", command)
    # The newest asked.
    assert (await notices.funnel(world.ctx, world.market_id, second.notice_id)).opted_in == 1
    assert (await notices.funnel(world.ctx, world.market_id, first.notice_id)).seen == 0
