"""Pilots on the real database: who may have the work, the switch against a dispatcher at work, and the report."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import msgspec
import pytest

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.domain.ids import DEPLOYMENT
from flexlive.domain.reasons import ReasonCode
from flexlive.protocol import ops_market as wire
from flexlive.protocol.driver import OfferDecline, Result
from flexlive.protocol.ops_actions import Reasoned
from flexlive.services import commands, offers, pilot_reports, pilots
from flexlive.services.drivers import DriverPrincipal, authenticate
from flexlive.services.tokens import OpsPrincipal
from flexlive.storage.transaction import transaction
from tests.support.dispatch import dispatch, open_offer_ids
from tests.support.world import World, accept_item

OPS = OpsPrincipal(uuid4(), DEPLOYMENT)
TYPE = "retail_delivery"
STOP = Reasoned(reason_code=ReasonCode.SAFETY, note="a word with the mall")


async def pilot(world: World, **fields: object) -> wire.Pilot:
    request = wire.CreatePilot(
        **{  # pyright: ignore[reportArgumentType]
            "name": f"pilot {uuid4().hex[:6]}",
            "offer_type": TYPE,
            "ends_at": world.ctx.clock() + timedelta(days=7),
            **fields,
        }
    )
    return await pilots.create(world.ctx, world.market_id, request)


async def kill(world: World, running: wire.Pilot) -> wire.PilotKilled:
    return await pilots.kill(world.ctx, OPS, world.market_id, running.pilot_id, STOP)


async def accept(world: World, driver: DriverPrincipal) -> Result:
    [offer_id] = await open_offer_ids(world.ctx, world.market_id)
    body = await offers.accept(world.ctx, accept_item(driver, offer_id, uuid4().hex))
    return msgspec.json.decode(body, type=Result)


async def offered(world: World) -> None:
    await world.order()
    await dispatch(world.ctx, world.market_id)


async def test_only_the_cohort_has_the_work_of_a_running_pilot(world: World) -> None:
    inside, control, outside = await world.add_drivers(3)
    running = await pilot(world, cohort=(inside.driver_id,), control=(control.driver_id,))
    assert (running.status, running.cohort_drivers, running.control_drivers) == ("running", 1, 1)
    again = await authenticate(world.ctx, world.driver_tokens[0])
    assert isinstance(again, DriverPrincipal)
    assert again.pilots == {running.pilot_id}
    await offered(world)
    for driver in (control, outside):
        refused = await accept(world, driver)
        assert (refused.code, refused.current) == ("not_eligible", {"reason": "outside_pilot"})
    told = await world.ctx.pool.fetchval("select data->'pilots' from event where kind = 'offer.opened'")
    assert told == [str(running.pilot_id)]
    assert (await accept(world, inside)).code == "won"


async def test_work_outside_its_scope_or_its_dates_is_everybodys(world: World) -> None:
    [ada] = await world.add_drivers(1)
    now = world.ctx.clock()
    await pilot(world, starts_at=now + timedelta(hours=1))
    await pilot(world, merchant_ids=(world.merchant.merchant_id,), starts_at=now + timedelta(days=1))
    ended = await pilot(world)
    await world.ctx.pool.execute(
        "update pilot set starts_at = now() - interval '2 h', ends_at = now() - interval '1 h' where pilot_id = $1",
        ended.pilot_id,
    )
    await offered(world)
    assert (await accept(world, ada)).code == "won"


async def test_the_switch_withdraws_refuses_and_lets_routes_finish(world: World) -> None:
    ada, bob = await world.add_drivers(2)
    running = await pilot(world, cohort=(ada.driver_id, bob.driver_id))
    await offered(world)
    assert (await accept(world, ada)).code == "won"
    await offered(world)
    killed = await kill(world, running)
    assert (killed.pilot.status, killed.offers_withdrawn) == ("killed", 1)
    assert (await kill(world, running)).offers_withdrawn == 0
    assert await dispatch(world.ctx, world.market_id) == 0
    with pytest.raises(FlexliveError) as refused:
        await world.order()
    assert (refused.value.code, refused.value.detail) == (
        ErrorCode.NOT_PARTICIPATING,
        "the pilot of this offer type is stopped here",
    )
    assert await world.ctx.pool.fetchval("select status from route") == "active"
    # Dates do not end a stop.
    await world.ctx.pool.execute(
        "update pilot set starts_at = now() - interval '2 h', ends_at = now() - interval '1 h'"
    )
    assert await dispatch(world.ctx, world.market_id) == 0
    assert (await pilots.resume(world.ctx, OPS, world.market_id, running.pilot_id, STOP)).status == "ended"
    await dispatch(world.ctx, world.market_id, world.ctx.clock() + timedelta(minutes=1))
    assert len(await open_offer_ids(world.ctx, world.market_id)) == 1
    actions = await world.ctx.pool.fetch("select action, subject_id from ops_action order by created_at")
    assert [tuple(row) for row in actions] == [
        ("kill_pilot", str(running.pilot_id)),
        ("resume_pilot", str(running.pilot_id)),
    ]


async def test_no_offer_slips_past_the_switch_while_a_dispatcher_is_at_work(world: World) -> None:
    """The dispatcher has opened, not committed, when the switch is thrown; and the other way round."""
    running = await pilot(world)
    await world.order()
    async with transaction(world.ctx.pool) as conn:
        await conn.fetch("select from pilot where pilot_id = $1 for share", running.pilot_id)
        stopping = asyncio.create_task(kill(world, running))
        await asyncio.sleep(0.05)
        assert not stopping.done()
        await dispatch(world.ctx, world.market_id)
        assert len(await open_offer_ids(world.ctx, world.market_id)) == 1
    assert (await stopping).offers_withdrawn == 1
    assert await open_offer_ids(world.ctx, world.market_id) == []
    await pilots.resume(world.ctx, OPS, world.market_id, running.pilot_id, STOP)
    async with transaction(world.ctx.pool) as conn:
        await conn.execute(
            "update pilot set killed_at = now(), killed_reason = 'safety' where pilot_id = $1", running.pilot_id
        )
        # It looked before the stop was there to be seen, and may not open what it decided then.
        opening = asyncio.create_task(dispatch(world.ctx, world.market_id, world.ctx.clock() + timedelta(minutes=1)))
        await asyncio.sleep(0.05)
        assert not opening.done()
    assert await opening == 0
    assert await open_offer_ids(world.ctx, world.market_id) == []


async def test_arms_are_drawn_once_and_never_changed(world: World) -> None:
    people = await world.add_drivers(20)
    running = await pilot(world, split=wire.Split(cohort_share=0.5, control_share=0.5))
    assert running.cohort_drivers + running.control_drivers == 20
    rows = await world.ctx.pool.fetch("select driver_id, arm from pilot_member")
    before = {row["driver_id"]: row["arm"] for row in rows}
    everyone = tuple(driver.driver_id for driver in people)
    await world.add_drivers(1)
    after = await pilots.add_members(
        world.ctx, world.market_id, running.pilot_id, wire.AddMembers(control=everyone, split=wire.Split())
    )
    assert after.cohort_drivers + after.control_drivers == 21
    rows = await world.ctx.pool.fetch("select driver_id, arm from pilot_member")
    assert {row["driver_id"]: row["arm"] for row in rows}.items() >= before.items()
    for wrong in (
        wire.AddMembers(cohort=everyone[:1], control=everyone[:1]),
        wire.AddMembers(split=wire.Split(cohort_share=0.7, control_share=0.4)),
    ):
        with pytest.raises(FlexliveError) as invalid:
            await pilots.add_members(world.ctx, world.market_id, running.pilot_id, wrong)
        assert invalid.value.code is ErrorCode.INVALID
    with pytest.raises(FlexliveError) as unknown:
        await pilots.add_members(world.ctx, world.market_id, running.pilot_id, wire.AddMembers(cohort=(uuid4(),)))
    assert unknown.value.code is ErrorCode.NOT_FOUND


async def test_the_report_compares_arms_by_what_the_ledger_and_the_doors_say(world: World) -> None:
    ada, bob, cleo, dan = await world.add_drivers(4)
    running = await pilot(
        world,
        starts_at=world.ctx.clock() - timedelta(hours=1),
        cohort=(ada.driver_id, bob.driver_id),
        control=(cleo.driver_id, dan.driver_id),
    )
    for driver, cents in ((ada, 900), (ada, 300), (bob, 1000), (cleo, 400)):
        await earned(world, driver, cents)
    await offered(world)
    [offer_id] = await open_offer_ids(world.ctx, world.market_id)
    await commands.execute(world.ctx, bob, "phone", OfferDecline(cmd="d-1", offer_id=offer_id))
    assert (await accept(world, ada)).code == "won"
    await world.ctx.pool.execute("update delivery set status = 'delivered', status_at = now()")
    report = await pilot_reports.report(world.ctx, world.market_id, running.pilot_id)
    effects = {effect.measure: effect for effect in report.effects}
    earnings = effects["earnings_cents"]
    assert (earnings.cohort.mean, earnings.control.mean, earnings.difference) == (1100, 200, 900)
    # Two a side, 100² · 2 and 200² · 2 between them: standard error √50000, 1.47 degrees of freedom.
    assert earnings.low is not None
    assert earnings.high is not None
    assert earnings.low == pytest.approx(-483.7, abs=0.1)
    assert earnings.high == pytest.approx(2283.7, abs=0.1)
    assert (effects["deliveries"].cohort.mean, effects["deliveries"].control.mean) == (0.5, 0)
    assert (effects["accept_share"].cohort.drivers, effects["accept_share"].cohort.mean) == (2, 0.5)
    assert (effects["accept_share"].control.drivers, effects["accept_share"].difference) == (0, None)
    assert (effects["in_window_share"].cohort.drivers, effects["in_window_share"].cohort.mean) == (1, 1)
    assert (report.currency, report.funnel.sent) == ("USD", 0)


async def earned(world: World, driver: DriverPrincipal, cents: int) -> None:
    await world.ctx.pool.execute(
        """with happened as (
             insert into event (market_id, stream, seq, kind, occurred_at, received_at, actor_type, data)
             values ($1, 'x:' || $3::uuid, 1, 'x', now(), now(), 'system', '{}') returning event_id)
           insert into ledger_entry (market_id, entry_id, driver_id, kind, amount_cents, currency, event_id, created_at)
           select $1, $3::uuid, $2, 'adjustment', $4, 'USD', event_id, now() from happened""",
        world.market_id,
        driver.driver_id,
        uuid4(),
        cents,
    )
