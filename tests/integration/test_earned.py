"""A bundle from two counters of one mall, to the cent: what each delivery earned, when, and by which event."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import msgspec

from flexlive.domain.markets import MarketPolicy
from flexlive.domain.reasons import ReasonCode
from flexlive.protocol import ops
from flexlive.protocol.driver import Deliver, PickupConfirm, RouteForfeit, Scan
from flexlive.services import merchants, offers
from flexlive.services.context import Context
from tests.integration.ledgers import assert_sound, earned, pay
from tests.support.dispatch import dispatch, open_offer_ids
from tests.support.on_the_road import OnTheRoad, status
from tests.support.world import SITE, World, accept_item, build_world, hours


async def bundle(ctx: Context, *, first: int, second: int) -> tuple[World, OnTheRoad, list[UUID]]:
    """A driver who has won orders of two stores in one offer; deliveries in order of their doors, store by store."""
    world = await build_world(ctx, policy=MarketPolicy(bundle_deliveries_max=6))
    made = ops.CreateStore(
        merchant_id=world.merchant.merchant_id,
        site_id=world.site.site_id,
        external_store_id="testville-2",
        name="Other shop",
        unit="2",
        hours=hours(),
    )
    other = await merchants.create_store(ctx, world.market_id, made)
    [driver] = await world.add_drivers(1)
    ids: list[UUID] = []
    for number in range(first + second):
        store = world.store if number < first else other
        created = await world.order(
            external_store_id=store.external_store_id, dropoff_lat=SITE[0] + 0.01 * (number + 1), tip_cents=number
        )
        ids.append(created.delivery_id)
    await dispatch(ctx, world.market_id)
    [offer_id] = await open_offer_ids(ctx, world.market_id)
    body = await offers.accept(ctx, accept_item(driver, offer_id))
    assert msgspec.json.decode(body)["code"] == "won"
    return world, OnTheRoad(world, driver), ids


async def waited(world: World, minutes: float) -> None:
    """That long has gone by since whatever happened last."""
    await world.ctx.pool.execute(
        "update stop set arrived_at = arrived_at - $1::interval, done_at = done_at - $1::interval",
        timedelta(minutes=minutes),
    )


async def pick_up(phone: OnTheRoad) -> None:
    stop, now = await phone.stop("store"), phone.world.ctx.clock()
    for delivery in stop.deliveries:
        if delivery.status == "arrived_at_pickup":
            for package in delivery.packages:
                assert await phone.send(Scan, stop_id=stop.stop_id, barcode=package.barcode, occurred_at=now) == "ok"
    code = await phone.world.ctx.pool.fetchval("select handoff_code from store where store_id = $1", stop.store_id)
    assert await phone.send(PickupConfirm, stop_id=stop.stop_id, store_code=code) == "ok"


async def test_a_whole_bundle_pays_exactly_what_the_offer_said_and_each_wait_once(ctx: Context) -> None:
    world, phone, ids = await bundle(ctx, first=2, second=1)
    offer = await ctx.pool.fetchrow("select base_cents, distance_cents, wait_rate_cents_per_minute from offer")
    assert offer is not None
    assert await phone.check_in("site") == "ok"
    await waited(world, 6.5)
    await pick_up(phone)
    assert await earned(world) == [("wait", 2 * 25, "delivery.picked_up")]
    await waited(world, 4)
    await pick_up(phone)
    assert len(await earned(world)) == 1
    for delivery_id in ids:
        assert await phone.check_in("door") == "ok"
        assert await phone.send(Deliver, delivery_id=delivery_id, occurred_at=ctx.clock()) == "ok"
        base, distance = await pay(world, delivery_id)
        # Paid when delivered, not when the route ends.
        rows = await earned(world, delivery_id)
        assert [row for row in rows if row[0] in ("base", "distance")] == [
            ("base", base, "delivery.delivered"),
            ("distance", distance, "delivery.delivered"),
        ]
    rows = await earned(world)
    promised = sum(cents for kind, cents, _ in rows if kind in ("base", "distance"))
    assert promised == offer["base_cents"]
    assert sum(cents for kind, cents, _ in rows if kind == "distance") == offer["distance_cents"] > 0
    assert sum(cents for kind, cents, _ in rows if kind == "tip") == 0 + 1 + 2
    assert len([row for row in rows if row[0] == "wait"]) == 1
    assert await ctx.pool.fetchval("select status from route") == "completed"
    await assert_sound(world)


async def test_a_part_given_back_is_offered_again_while_the_rest_goes_on(ctx: Context) -> None:
    world, phone, [kept, given] = await bundle(ctx, first=1, second=1)
    assert await phone.check_in("site") == "ok"
    await pick_up(phone)
    [route] = await phone.routes()
    reason = ReasonCode.MERCHANT_NOT_READY.value
    assert await phone.send(RouteForfeit, route_id=route.route_id, reason=reason) == "ok"
    assert (await status(world, kept), await status(world, given)) == ("enroute_to_dropoff", "created")
    assert [offer["status"] for offer in await ctx.pool.fetch("select status from offer")] == ["accepted"]
    await dispatch(ctx, world.market_id)
    [again] = await open_offer_ids(ctx, world.market_id)
    excluded = await ctx.pool.fetchval(
        "select data->'excluded' from event where kind = 'offer.opened' order by event_id desc limit 1"
    )
    assert excluded == [str(phone.driver.driver_id)]
    # The first driver's own work is untouched, and ends its offer without the other's.
    assert await phone.check_in("door") == "ok"
    assert await phone.send(Deliver, delivery_id=kept, occurred_at=ctx.clock()) == "ok"
    states = dict(await ctx.pool.fetch("select offer_id, status from offer"))
    assert states[again] == "open"
    assert sorted(states.values()) == ["completed", "open"]
    await assert_sound(world)
