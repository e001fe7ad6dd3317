"""What happens when nobody acts: silent drivers, orders without a driver, incidents without a decision."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from flexlive.domain.markets import MarketPolicy, scaled
from flexlive.domain.reasons import ReasonCode
from flexlive.protocol.driver import PresenceSet
from flexlive.services import overrides, watch
from flexlive.services.context import Context
from flexlive.storage import leases
from flexlive.storage.drivers import PositionRow, write_positions
from flexlive.storage.leases import Lease
from tests.support.dispatch import dispatch, open_offer_ids
from tests.support.on_the_road import OnTheRoad, Operator, audit_findings, kinds, open_alerts, status, with_work
from tests.support.world import SITE, World

POLICY = MarketPolicy()
SILENT = timedelta(seconds=POLICY.driver_silent_seconds + 1)
GONE = timedelta(seconds=POLICY.driver_gone_seconds + 1)


@pytest.fixture(autouse=True)
async def _books_are_right(world: World) -> AsyncIterator[None]:
    """Whatever a test did, the audit finds nothing."""
    yield
    assert await audit_findings(world) == []


@pytest.fixture
async def lease(world: World) -> Lease:
    taken = await leases.acquire(world.ctx.pool, world.market_id, "watch", "test", 60)
    assert taken is not None
    return taken


async def route_id(world: World, delivery_id: UUID) -> UUID:
    return await world.ctx.pool.fetchval("select route_id from delivery where delivery_id = $1", delivery_id)


async def move(world: World, phone: OnTheRoad, at: datetime) -> None:
    async with world.ctx.pool.acquire() as conn:
        await write_positions(conn, world.market_id, [PositionRow(phone.driver.driver_id, *SITE, 5.0, at, at)])


async def test_operators_hear_of_a_silent_driver_before_the_work_goes_to_another(world: World, lease: Lease) -> None:
    ctx: Context = world.ctx
    phone, delivery_id = await with_work(world)
    route = await route_id(world, delivery_id)
    now = ctx.clock()
    assert await watch.look(ctx, lease, now) == 0
    assert await watch.look(ctx, lease, now + SILENT) >= 1
    assert await open_alerts(world) == ["driver_silent"]
    assert await status(world, delivery_id) == "confirmed"
    assert await kinds(world, f"route:{route}") == ["route.created", "route.driver_silent"]
    # Told once, whatever time passes before the driver counts as gone.
    assert await watch.look(ctx, lease, now + SILENT + timedelta(seconds=5)) == 0

    await watch.look(ctx, lease, now + SILENT + GONE)
    assert await status(world, delivery_id) == "created"
    assert await phone.routes() == ()
    row = await ctx.pool.fetchrow(
        "select actor_type, reason_code from event where stream = $1 order by seq desc limit 1",
        f"delivery:{delivery_id}",
    )
    assert row is not None
    assert (row["actor_type"], row["reason_code"]) == ("system", "driver_unreachable")
    # Nothing of it is left: the alert ends with the route.
    await watch.look(ctx, lease, now + SILENT + GONE)
    assert "driver_silent" not in await open_alerts(world)
    await world.add_drivers(1)
    await dispatch(ctx, world.market_id, ctx.clock() + timedelta(minutes=1))
    assert len(await open_offer_ids(ctx, world.market_id)) == 1


@pytest.mark.parametrize("sign", ["position", "command", "socket"])
async def test_any_sign_of_life_recovers(world: World, lease: Lease, sign: str) -> None:
    ctx: Context = world.ctx
    phone, delivery_id = await with_work(world)
    now = ctx.clock() + SILENT
    assert await watch.look(ctx, lease, now) >= 1
    match sign:
        case "position":
            await move(world, phone, now)
        case "command":
            assert await phone.send(PresenceSet, mode="offline") == "ok"
            await ctx.pool.execute("update command_result set created_at = $1", now)
        case _:
            ctx.roster.claim(world.market_id, phone.driver.driver_id, 1.0)
    assert await watch.look(ctx, lease, now + timedelta(seconds=1)) >= 1
    assert await open_alerts(world) == []
    assert (await kinds(world, f"route:{await route_id(world, delivery_id)}"))[-1] == "route.driver_heard"
    assert await ctx.pool.fetchval("select count(*) from route where silent_at is not null") == 0
    ended = await ctx.pool.fetchrow("select resolved_by, resolution from alert")
    assert ended is not None
    assert tuple(ended.values()) == ("system", "heard_again")


async def test_what_is_in_the_car_of_a_silent_driver_stays_with_operators(world: World, lease: Lease) -> None:
    phone, delivery_id = await with_work(world)
    await phone.pick_up()
    now = world.ctx.clock()
    await watch.look(world.ctx, lease, now + SILENT)
    await watch.look(world.ctx, lease, now + SILENT + GONE)
    assert await status(world, delivery_id) == "enroute_to_dropoff"
    assert await open_alerts(world) == ["driver_silent"]


async def test_an_order_nobody_takes_is_shown_and_then_cancelled(world: World, lease: Lease) -> None:
    ctx: Context = world.ctx
    delivery_id = (await world.order()).delivery_id
    taken, held = await with_work(world)
    row = await ctx.pool.fetchrow(
        "select pickup_ready_at, dropoff_deadline_at from delivery where delivery_id = $1", delivery_id
    )
    assert row is not None
    await move(world, taken, row["pickup_ready_at"] + timedelta(hours=3))
    assert await open_alerts(world) == []
    for _ in range(2):
        await watch.look(ctx, lease, row["pickup_ready_at"] + timedelta(seconds=POLICY.offer_ttl_seconds + 1))
    assert await open_alerts(world) == ["no_driver"]
    await watch.look(ctx, lease, row["dropoff_deadline_at"] - timedelta(seconds=1))
    assert await status(world, delivery_id) == "created"
    await watch.look(ctx, lease, row["dropoff_deadline_at"] + timedelta(seconds=1))
    assert await status(world, delivery_id) == "cancelled"
    assert await status(world, held) == "confirmed"
    ended = await ctx.pool.fetchrow(
        "select actor_type, reason_code from event where stream = $1 and kind = 'delivery.cancelled'",
        f"delivery:{delivery_id}",
    )
    assert ended is not None
    assert tuple(ended.values()) == ("system", "no_driver_found")
    await watch.look(ctx, lease, row["dropoff_deadline_at"] + timedelta(seconds=2))
    assert await open_alerts(world) == []


async def test_a_deadline_extended_in_the_last_moment_holds(
    world: World, lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery_id = (await world.order()).delivery_id

    async def seen_before(*_: object) -> list[UUID]:
        return [delivery_id]

    monkeypatch.setattr(watch.rows, "overdue", seen_before)
    await watch.look(world.ctx, lease, world.ctx.clock())
    assert await status(world, delivery_id) == "created"


@pytest.mark.parametrize(("wish", "after"), [("return_to_pickup", "enroute_to_return"), ("dispose", "disposed")])
async def test_an_incident_nobody_decides_goes_the_way_the_order_asked_for(
    world: World, lease: Lease, wish: str, after: str
) -> None:
    phone, delivery_id = await with_work(world, undeliverable_action=wish)
    await phone.pick_up()
    assert await phone.report(delivery_id, ReasonCode.ADDRESS_PROBLEM) == "ok"
    now = world.ctx.clock()
    await move(world, phone, now + timedelta(hours=1))
    waits = timedelta(seconds=POLICY.incident_decision_seconds)
    await watch.look(world.ctx, lease, now + waits - timedelta(seconds=5))
    assert await status(world, delivery_id) == "undeliverable"
    await watch.look(world.ctx, lease, now + waits + timedelta(seconds=5))
    assert await status(world, delivery_id) == after
    assert await open_alerts(world) == []


async def test_who_lost_the_lease_writes_nothing(world: World, lease: Lease) -> None:
    _, delivery_id = await with_work(world)
    waiting = (await world.order()).delivery_id
    await world.ctx.pool.execute("update lease set term = term + 1, holder = 'other'")
    now = world.ctx.clock() + timedelta(days=1)
    assert await watch.look(world.ctx, lease, now) == 0
    assert await open_alerts(world) == []
    assert await status(world, delivery_id) == "confirmed"
    assert await status(world, waiting) == "created"


async def test_used_up_attempts_are_granted_anew_by_resolving_the_alert(world: World) -> None:
    from flexlive.domain.alerts import AlertKind
    from flexlive.services.alerts import raise_alert

    ctx = world.ctx
    _, delivery_id = await with_work(world)
    async with ctx.pool.acquire() as conn, conn.transaction():
        await conn.execute("update delivery set proof_attempts = 5")
        assert await raise_alert(
            conn, world.market_id, AlertKind.ATTEMPTS_EXHAUSTED, delivery_id, delivery_id=delivery_id,
            at=ctx.clock(), new_id=ctx.new_id,
        )  # fmt: skip
        assert not await raise_alert(
            conn, world.market_id, AlertKind.ATTEMPTS_EXHAUSTED, delivery_id, delivery_id=delivery_id,
            at=ctx.clock(), new_id=ctx.new_id,
        )  # fmt: skip
    alert_id = await ctx.pool.fetchval("select alert_id from alert")
    operator = Operator(world)
    for changed in (True, False):
        done = await overrides.resolve_alert(ctx, operator.call("resolve_alert", ("alert", alert_id)))
        assert done.result == {"kind": "attempts_exhausted", "changed": changed}
    assert await ctx.pool.fetchval("select proof_attempts from delivery") == 0


def test_every_waiting_time_follows_the_time_scale() -> None:
    fast = scaled(POLICY, 60)
    for name in ("driver_silent_seconds", "driver_gone_seconds", "incident_decision_seconds", "offer_ttl_seconds"):
        assert getattr(fast, name) == getattr(POLICY, name) / 60


async def test_nobody_is_silent_because_nobody_listened(world: World, lease: Lease) -> None:
    _, delivery_id = await with_work(world)
    ctx, second = world.ctx, timedelta(seconds=1)
    began = ctx.clock() + SILENT + GONE
    assert await watch.look(ctx, lease, began, began) == 0
    assert await watch.look(ctx, lease, began + SILENT - 2 * second, began) == 0
    assert await watch.look(ctx, lease, began + SILENT + second, began) >= 1
    assert await open_alerts(world) == ["driver_silent"]
    # A server that starts again gives the driver who was silent before the whole time once more.
    again = began + SILENT + GONE
    await watch.look(ctx, lease, again + GONE - 2 * second, again)
    assert await status(world, delivery_id) == "confirmed"
    await watch.look(ctx, lease, again + GONE + second, again)
    assert await status(world, delivery_id) == "created"
