"""Work given back and orders called off before pickup: who is offered it again, who is told, and what is paid."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import msgspec
import pytest

from flexlive.domain.reasons import ReasonCode
from flexlive.protocol import ops_actions as wire
from flexlive.protocol.driver import RouteForfeit, Scan
from flexlive.services import assignments, cancellations, offers
from flexlive.services.answers import Answer
from flexlive.services.causes import Cause, by_system
from flexlive.services.drivers import SnapshotAsk, snapshots
from flexlive.storage import offers as offer_rows
from flexlive.storage.transaction import transaction
from tests.integration.ledgers import assert_sound, earned, pay
from tests.support.dispatch import dispatch, open_offer_ids
from tests.support.on_the_road import OnTheRoad, Operator, kinds, status, with_work
from tests.support.world import World, accept_item


async def cancel(world: World, delivery_id: UUID, *, by: str = "merchant") -> Answer:
    now = world.ctx.clock()
    reason = ReasonCode.MERCHANT_CANCELLED
    cause = by_system(now, ReasonCode.NO_DRIVER_FOUND) if by == "system" else Cause("merchant", "m", now, now, reason)
    async with transaction(world.ctx.pool) as conn:
        return await cancellations.cancel(world.ctx, conn, world.market_id, delivery_id, cause)


async def test_given_back_it_is_offered_at_once_to_anyone_else(world: World) -> None:
    phone, delivery_id = await with_work(world)
    assert await phone.check_in("site") == "ok"
    store, now = await phone.stop("store"), world.ctx.clock()
    barcode = store.deliveries[0].packages[0].barcode
    assert await phone.send(Scan, stop_id=store.stop_id, barcode=barcode, occurred_at=now) == "ok"
    [route] = await phone.routes()
    forfeit = {"route_id": route.route_id, "reason": "merchant_not_ready"}
    [other] = await world.add_drivers(1)
    assert await OnTheRoad(world, other).send(RouteForfeit, **forfeit) == "not_found"
    assert await phone.send(RouteForfeit, route_id=route.route_id, reason="tired") == "invalid"
    assert await phone.send(RouteForfeit, **forfeit) == "ok"
    assert (await kinds(world, f"delivery:{delivery_id}"))[-1] == "delivery.created"
    assert await phone.send(RouteForfeit, **forfeit) == "illegal_transition"

    row = await world.ctx.pool.fetchrow(
        "select d.status, d.driver_id, d.route_id, d.pay_base_cents, o.status, r.status, r.ended_at is not null"
        " from delivery d, offer o, route r"
    )
    assert row is not None
    assert tuple(row.values()) == ("created", None, None, None, "forfeited", "forfeited", True)
    assert await phone.routes() == ()
    # Whoever comes next scans anew.
    assert await world.ctx.pool.fetchval("select scanned_at from package") is None
    assert await earned(world) == []

    await dispatch(world.ctx, world.market_id)
    [again] = await open_offer_ids(world.ctx, world.market_id)
    excluded = await world.ctx.pool.fetchval(
        "select data->'excluded' from event where kind = 'offer.opened' and data->'offer'->>'offer_id' = $1", str(again)
    )
    assert excluded == [str(phone.driver.driver_id)]
    body = await offers.accept(world.ctx, accept_item(other, again))
    assert msgspec.json.decode(body)["code"] == "won"
    second = OnTheRoad(world, other)
    await second.pick_up()
    assert await second.send(RouteForfeit, route_id=(await second.routes())[0].route_id, reason="other") == (
        "illegal_transition"
    )
    await assert_sound(world)


async def test_called_off_while_it_waits_in_an_offer(world: World) -> None:
    await world.add_drivers(1)
    created = await world.order()
    await dispatch(world.ctx, world.market_id)
    [offer_id] = await open_offer_ids(world.ctx, world.market_id)
    assert (await cancel(world, created.delivery_id)).ok
    assert (await cancel(world, created.delivery_id)).ok
    assert await open_offer_ids(world.ctx, world.market_id) == []
    assert (await kinds(world, f"offer:{offer_id}"))[-1] == "offer.withdrawn"
    assert (await kinds(world, f"track:{created.delivery_id}"))[-1] == "track.cancelled"
    assert await dispatch(world.ctx, world.market_id) == 0
    nobody_came = await world.order()
    assert (await cancel(world, nobody_came.delivery_id, by="system")).ok
    reasons = await world.ctx.pool.fetch("select reason_code from delivery order by created_at")
    assert [row["reason_code"] for row in reasons] == ["merchant_cancelled", "no_driver_found"]
    assert (await cancel(world, world.ctx.new_id())).code == "not_found"
    await assert_sound(world)


@pytest.mark.parametrize("arrived", [False, True])
async def test_called_off_under_way_pays_a_part_only_after_the_check_in(world: World, arrived: bool) -> None:
    phone, delivery_id = await with_work(world)
    if arrived:
        assert await phone.check_in("site") == "ok"
        # Twelve minutes at the mall, five of them free: seven and a bit are begun.
        since = world.ctx.clock() - timedelta(minutes=12)
        await world.ctx.pool.execute("update stop set arrived_at = $1, done_at = $1 where kind = 'site'", since)
    assert (await cancel(world, delivery_id, by="system")).current == {
        "status": "arrived_at_pickup" if arrived else "confirmed"
    }
    assert (await cancel(world, delivery_id)).ok
    total = sum(await pay(world, delivery_id))
    half = (total + 1) // 2
    expected = [("partial", half, "delivery.cancelled"), ("wait", 8 * 25, "delivery.cancelled")]
    assert await earned(world) == (expected if arrived else [])
    found = await snapshots(world.ctx, world.market_id, [SnapshotAsk(phone.driver.driver_id)])
    [told] = found[phone.driver.driver_id].inbox
    assert (told.kind, told.body["reason_code"]) == ("delivery.cancelled", "merchant_cancelled")
    row = await world.ctx.pool.fetchrow("select r.status, o.status from route r join offer o using (offer_id)")
    assert row is not None
    assert tuple(row.values()) == ("cancelled", "completed")
    await assert_sound(world)


async def test_what_left_the_store_is_not_called_off(world: World) -> None:
    phone, delivery_id = await with_work(world)
    await phone.pick_up()
    assert (await cancel(world, delivery_id)).current == {"status": "enroute_to_dropoff"}
    assert await status(world, delivery_id) == "enroute_to_dropoff"


async def test_work_assigned_by_hand_and_given_back_does_not_come_back_either(world: World) -> None:
    [driver] = await world.add_drivers(1)
    created = await world.order()
    why = {"reason_code": ReasonCode.OPS_DECISION, "note": "n"}
    body = wire.Assign(**why, driver_id=driver.driver_id)
    call = Operator(world).call("assign", ("delivery", created.delivery_id), body)
    await assignments.assign(world.ctx, call, body)
    phone = OnTheRoad(world, driver)
    [route] = await phone.routes()
    assert await phone.send(RouteForfeit, route_id=route.route_id, reason="too_far") == "ok"
    await dispatch(world.ctx, world.market_id)
    # Nobody else is there, so nobody is asked; or an offer stands that this driver is not shown.
    opened = await world.ctx.pool.fetch("select data->'excluded' as excluded from event where kind = 'offer.opened'")
    assert all(row["excluded"] == [str(driver.driver_id)] for row in opened)
    history = await offer_rows.history(world.ctx.pool, world.market_id, [created.delivery_id])
    assert [row["forfeited_by"] for row in history] == [driver.driver_id]
    await assert_sound(world)
