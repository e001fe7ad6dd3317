"""Packages that go on with a second driver: custody, routes, links and money change in the transaction of one scan."""

from __future__ import annotations

from uuid import UUID

import msgspec
import pytest

from flexlive.domain.reasons import ReasonCode
from flexlive.protocol import ops_actions as wire
from flexlive.protocol.driver import Deliver, Scan
from flexlive.protocol.merchant import PackageRequest
from flexlive.services import transfers
from tests.integration.ledgers import assert_sound, earned, pay
from tests.support.on_the_road import OnTheRoad, Operator, kinds, status, with_work
from tests.support.world import World

WHY = {"reason_code": ReasonCode.VEHICLE_PROBLEM, "note": "breakdown"}


async def arranged(world: World) -> tuple[OnTheRoad, OnTheRoad, UUID]:
    """The first driver has two packages on board and broke down; the second is on the way to them."""
    first, delivery_id = await with_work(world, packages=(PackageRequest(), PackageRequest()))
    await first.pick_up()
    [second] = await world.add_drivers(1)
    body = wire.Transfer(**WHY, driver_id=second.driver_id, lat=36.13, lon=-115.17)
    await transfers.transfer(world.ctx, Operator(world).call("transfer", ("delivery", delivery_id), body), body)
    return first, OnTheRoad(world, second), delivery_id


async def scan_all(phone: OnTheRoad) -> list[str]:
    stop, now = await phone.stop("handover"), phone.world.ctx.clock()
    return [
        await phone.send(Scan, stop_id=stop.stop_id, barcode=package.barcode, occurred_at=now)
        for delivery in stop.deliveries
        for package in delivery.packages
    ]


async def test_the_scan_of_the_last_package_passes_everything(world: World) -> None:
    first, second, delivery_id = await arranged(world)
    token = await world.ctx.pool.fetchval("select count(*) from token where kind = 'track' and revoked_at is null")
    assert token == 1
    before = await pay(world, delivery_id)
    handover = await second.stop("handover")
    assert len(handover.deliveries[0].packages) == 2
    assert msgspec.json.encode(handover).find(b"Elm") < 0, "the address comes with the packages"
    now = world.ctx.clock()
    bad = {"stop_id": handover.stop_id, "barcode": "NOT-MINE", "occurred_at": now}
    assert await second.check_in("handover") == "ok"
    assert await second.send(Scan, **bad) == "wrong_package"
    assert await first.send(Scan, **bad) == "not_found"
    one, other = (package.barcode for package in handover.deliveries[0].packages)
    scan = {"stop_id": handover.stop_id, "occurred_at": now}
    assert await second.send(Scan, **scan, barcode=one) == "ok"
    assert await world.ctx.pool.fetchval("select driver_id from delivery") == first.driver.driver_id
    assert await second.send(Scan, **scan, barcode=other) == "ok"

    row = await world.ctx.pool.fetchrow("select driver_id, status, transfer_route_id from delivery")
    assert row is not None
    assert tuple(row.values()) == (second.driver.driver_id, "enroute_to_dropoff", None)
    assert await first.routes() == ()
    assert [stop.kind for stop in (await second.routes())[0].stops] == ["handover", "door"]
    assert await world.ctx.pool.fetchval("select count(*) from token where kind = 'track' and revoked_at is null") == 0
    assert "track.link_revoked" in await kinds(world, f"track:{delivery_id}")
    assert await world.ctx.pool.fetchval("select bool_and(custody = 'held' and rescanned_at is null) from package")
    assert await earned(world) == [("partial", (sum(before) + 1) // 2, "delivery.picked_up")]
    assert await first.send(Deliver, delivery_id=delivery_id, occurred_at=now) == "not_found"

    base, distance = await pay(world, delivery_id)
    assert await second.check_in("door") == "ok"
    assert await second.send(Deliver, delivery_id=delivery_id, occurred_at=now) == "ok"
    mine = await world.ctx.pool.fetch(
        "select kind, amount_cents from ledger_entry where driver_id = $1 order by kind", second.driver.driver_id
    )
    assert [tuple(each.values()) for each in mine] == [("base", base), ("distance", distance), ("tip", 300)]
    assert await world.ctx.pool.fetchval("select count(*) from slot where active") == 0
    await assert_sound(world)


@pytest.mark.parametrize("how", ["delivered", "called_off"])
async def test_the_first_driver_goes_on_after_all(world: World, how: str) -> None:
    first, second, delivery_id = await arranged(world)
    assert (await scan_one(second)) == "ok"
    if how == "called_off":
        await transfers.cancel_transfer(world.ctx, Operator(world).call("cancel", ("delivery", delivery_id)))
    assert await first.check_in("door") == "ok"
    assert await first.send(Deliver, delivery_id=delivery_id, occurred_at=world.ctx.clock()) == "ok"
    assert await status(world, delivery_id) == "delivered"
    assert await second.routes() == ()
    ended = await world.ctx.pool.fetchval("select status from route where driver_id = $1", second.driver.driver_id)
    assert ended == "cancelled"
    assert await world.ctx.pool.fetchval("select transfer_route_id from delivery") is None
    assert {kind for kind, _, _ in await earned(world)} == {"base", "distance", "tip"}
    await assert_sound(world)


async def scan_one(phone: OnTheRoad) -> str:
    stop = await phone.stop("handover")
    barcode = stop.deliveries[0].packages[0].barcode
    return await phone.send(Scan, stop_id=stop.stop_id, barcode=barcode, occurred_at=phone.world.ctx.clock())


async def test_what_is_undeliverable_or_on_its_way_back_changes_cars_too(world: World) -> None:
    first, second, delivery_id = await arranged(world)
    assert await first.report(delivery_id, ReasonCode.CUSTOMER_REFUSED) == "ok"
    assert await scan_all(second) == ["ok", "ok"]
    assert await status(world, delivery_id) == "enroute_to_return"
    back = await second.stop("return")
    assert back.deliveries[0].return_cents == await world.ctx.pool.fetchval("select pay_return_cents from delivery")
    await assert_sound(world)


async def test_what_the_first_driver_has_read_is_no_look_of_the_seconds(world: World) -> None:
    first, delivery_id = await with_work(world, packages=(PackageRequest(), PackageRequest()))
    await first.pick_up()
    assert await first.report(delivery_id, ReasonCode.CUSTOMER_REFUSED) == "ok"
    assert await first.check_in("return") == "ok"
    back, now = await first.stop("return"), world.ctx.clock()
    one, other = (package.barcode for package in back.deliveries[0].packages)
    assert await first.send(Scan, stop_id=back.stop_id, barcode=one, occurred_at=now) == "ok"
    [driver] = await world.add_drivers(1)
    body = wire.Transfer(**WHY, driver_id=driver.driver_id, lat=36.13, lon=-115.17)
    await transfers.transfer(world.ctx, Operator(world).call("transfer", ("delivery", delivery_id), body), body)
    second = OnTheRoad(world, driver)
    scan = {"stop_id": (await second.stop("handover")).stop_id, "occurred_at": now}
    assert await second.send(Scan, **scan, barcode=other) == "ok"
    assert await world.ctx.pool.fetchval("select driver_id from delivery") == first.driver.driver_id
    assert await second.send(Scan, **scan, barcode=one) == "ok"
    assert await world.ctx.pool.fetchval("select driver_id from delivery") == driver.driver_id
    await assert_sound(world)
